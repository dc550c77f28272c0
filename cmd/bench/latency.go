package main

import (
	"fmt"
	"slices"
	"time"
)

// distribution returns the usual points of a set of latencies, which it sorts.
func distribution(latencies []time.Duration) string {
	if len(latencies) == 0 {
		return "no answers"
	}
	slices.Sort(latencies)
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
		milliseconds(percentile(latencies, 0.5)), milliseconds(percentile(latencies, 0.9)),
		milliseconds(percentile(latencies, 0.99)), milliseconds(percentile(latencies, 0.999)),
		milliseconds(latencies[len(latencies)-1]))
}

// percentile returns the value that a share p, from 0 to 1, of the sorted
// latencies does not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(p * float64(len(sorted)))
	return sorted[min(i, len(sorted)-1)]
}

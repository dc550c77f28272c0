package proxy

import "fmt"

// Count returns n and the noun for a message, such as "1 worker" or "2 workers".
func Count[N int | int32 | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

package config

import "math"

// Nearest returns the known name that name most likely means: the one with the fewest
// edits (insertions, deletions, substitutions and swaps of neighbours), the first if there
// are several. It returns "" if each known name needs more than two edits, or half the
// name's length or more.
func Nearest(name string, known []string) string {
	best, least := "", math.MaxInt
	for _, k := range known {
		d := editDistance(name, k, 2)
		if d <= 2 && 2*d < len(name) && d < least {
			best, least = k, d
		}
	}
	return best
}

// editDistance counts the edits (optimal string alignment) between the bytes of a and b. If
// the lengths differ by more than limit, it returns limit + 1 without counting.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, above[j]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

package osfile

import (
	"math"
	"strconv"
)

// SizeText returns n bytes as text for people: "50 bytes", "1.5 MiB", "20 MiB". It rounds
// to the nearest number, with one decimal below 10.
func SizeText(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	size := float64(n) / 1024
	for math.Round(size) >= 1024 {
		size, units = size/1024, units[1:]
	}
	if size < 9.95 {
		size = math.Round(size*10) / 10
	} else {
		size = math.Round(size)
	}
	return strconv.FormatFloat(size, 'f', -1, 64) + " " + units[0]
}

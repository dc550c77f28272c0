package config

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// ParseSize reads a number of bytes as nginx does: digits, and behind them k (1024), m, g
// or nothing, whose case does not matter. A number that does not fit an int64 is an error.
func ParseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			unit = 1 << 10
		case 'm', 'M':
			unit = 1 << 20
		case 'g', 'G':
			unit = 1 << 30
		}
		if unit > 1 {
			digits = s[:len(s)-1]
		}
	}
	var v int64
	for i := range len(digits) {
		d := int64(digits[i]) - '0'
		if d < 0 || d > 9 {
			return 0, notSize(s)
		}
		if v > (math.MaxInt64-d)/10 {
			return 0, fmt.Errorf("size %q is too large", s)
		}
		v = v*10 + d
	}
	if digits == "" {
		return 0, notSize(s)
	}
	if v > math.MaxInt64/unit {
		return 0, fmt.Errorf("size %q is too large", s)
	}
	return v * unit, nil
}

func notSize(s string) error {
	return fmt.Errorf("%q is not a size: digits and at most one of k, m, g", s)
}

// ParseInt reads a whole number from low to high. As in nginx it is digits alone; a minus is
// possible if low is negative.
func ParseInt(s string, low, high int) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || s[0] == '+' || v < low || v > high {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", s, low, high)
	}
	return v, nil
}

// ParseSizeIn is ParseSize for a size from low to high bytes.
func ParseSizeIn(s string, low, high int64) (int64, error) {
	v, err := ParseSize(s)
	if err == nil && (v < low || v > high) {
		err = fmt.Errorf("size %q is not from %d to %d bytes", s, low, high)
	}
	if err != nil {
		return 0, err
	}
	return v, nil
}

// longestTime is the longest time that ParseTime takes. The present time plus longestTime
// still fits an int64 in nanoseconds.
const longestTime = 100 * 365 * 24 * time.Hour

// timeUnit is a unit of nginx's notation of times. The units of one value must be in the
// order of their ranks.
type timeUnit struct {
	rank   int
	length time.Duration
}

const (
	rankSecond = 7
	rankBare   = 9
)

var timeUnits = map[string]timeUnit{
	"y":  {1, 365 * 24 * time.Hour},
	"M":  {2, 30 * 24 * time.Hour},
	"w":  {3, 7 * 24 * time.Hour},
	"d":  {4, 24 * time.Hour},
	"h":  {5, time.Hour},
	"m":  {6, time.Minute},
	"s":  {rankSecond, time.Second},
	"ms": {8, time.Millisecond},
	" ":  {rankBare, time.Second},
}

// ParseTime reads a time as nginx does: numbers with the units y M w d h m s ms, in this
// order ("1h 30m", "1h30m"). A number without a unit is seconds. A year has 365 days, a
// month 30. nginx refuses y and M for times that it keeps in milliseconds, and ms for times
// in seconds; here every time takes every unit. A time above 100 years is an error.
func ParseTime(s string) (time.Duration, error) {
	d, err := parseTime(s)
	if err == nil && d > longestTime {
		err = tooLong(s)
	}
	if err != nil {
		return 0, err
	}
	return d, nil
}

// parseTime is ParseTime without the limit of longestTime.
func parseTime(s string) (time.Duration, error) {
	var total, value time.Duration
	seen, rank := false, 0
	for i := 0; i < len(s); {
		if d := s[i] - '0'; d <= 9 {
			if value > (math.MaxInt64-time.Duration(d))/10 {
				return 0, tooLong(s)
			}
			value, seen = value*10+time.Duration(d), true
			i++
			continue
		}
		name := s[i : i+1]
		if name == "m" && i+1 < len(s) && s[i+1] == 's' {
			name = "ms"
		}
		unit, ok := timeUnits[name]
		// As in nginx, only the last number may be without a unit.
		if !ok || unit.rank <= rank || unit.rank == rankBare && rank >= rankSecond {
			return 0, notTime(s)
		}
		if value > (math.MaxInt64-total)/unit.length {
			return 0, tooLong(s)
		}
		total, value, rank = total+value*unit.length, 0, unit.rank
		for i += len(name); i < len(s) && s[i] == ' '; i++ {
		}
	}
	if !seen {
		return 0, notTime(s)
	}
	if value > (math.MaxInt64-total)/time.Second {
		return 0, tooLong(s)
	}
	return total + value*time.Second, nil
}

func tooLong(s string) error { return fmt.Errorf("time %q is too long; the longest is 100y", s) }

func notTime(s string) error {
	return fmt.Errorf("%q is not a time: numbers with y, M, w, d, h, m, s, ms in this order, or plain seconds", s)
}

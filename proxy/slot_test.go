package proxy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
)

func register(slots ...proxy.Slot) {
	modules := make([]proxy.Module, len(slots))
	for i, s := range slots {
		modules[i] = proxy.Module{Name: fmt.Sprint("m", i), State: []proxy.Slot{s}}
	}
	proxy.Register(config.NewSchema(), modules)
}

func TestStateOfARequestBeginsEmptyAndIsEachFeaturesOwn(t *testing.T) {
	var text proxy.ExchangeSlot[string]
	var number, other proxy.ExchangeSlot[int]
	register(&number, &text, &other)
	x := proxy.NewExchange(&proxy.Conn{}, nil)
	defer x.Release()
	for range 3 {
		if *text.In(x) != "" || *number.In(x) != 0 || *other.In(x) != 0 {
			t.Fatalf(`a request begins with %q, %d, %d; want "", 0 and 0`, *text.In(x), *number.In(x), *other.In(x))
		}
		*other.In(x), *text.In(x) = 2, "one"
		*number.In(x)++
		if *text.In(x) != "one" || *number.In(x) != 1 || *other.In(x) != 2 {
			t.Fatalf(`kept are %q, %d, %d; want "one", 1 and 2`, *text.In(x), *number.In(x), *other.In(x))
		}
		x.Reset()
	}
}

// Two programs in one process, as in tests, share the pool of Exchanges.
func TestStateOfAnotherProgramIsNotSeen(t *testing.T) {
	var text proxy.ExchangeSlot[string]
	var number proxy.ExchangeSlot[int]
	register(&text)
	register(&number)
	x := proxy.NewExchange(&proxy.Conn{}, nil)
	defer x.Release()
	for range 2 {
		if *text.In(x) != "" {
			t.Errorf(`text begins with %q, want ""`, *text.In(x))
		}
		*text.In(x) = "one"
		x.Reset()
		if *number.In(x) != 0 {
			t.Errorf("number begins with %d, want 0", *number.In(x))
		}
		*number.In(x) = 1
		x.Reset()
	}
}

func TestStateOfARequestAllocatesNothingInAUsedExchange(t *testing.T) {
	var number proxy.ExchangeSlot[int]
	var text proxy.ExchangeSlot[string]
	register(&number, &text)
	x := proxy.NewExchange(&proxy.Conn{}, nil)
	defer x.Release()
	if n := testing.AllocsPerRun(100, func() {
		*number.In(x)++
		*text.In(x) = "a"
		x.Reset()
	}); n > 0 {
		t.Errorf("%.0f allocations, want none", n)
	}
}

func TestStateOfALocationIsItsOwn(t *testing.T) {
	var name proxy.LocationSlot[*string]
	var number proxy.LocationSlot[int]
	register(&number, &name)
	var a, b proxy.Location
	text := "a"
	name.Set(&a, &text)
	number.Set(&b, 7)
	if name.Of(&a) != &text || name.Of(&b) != nil || number.Of(&a) != 0 || number.Of(&b) != 7 {
		t.Errorf("a has %v, %d; b has %v, %d; want %v, nil, 0 and 7", name.Of(&a), number.Of(&a), name.Of(&b), number.Of(&b), &text)
	}
}

func TestStateOfAConnectionIsReplacedByManyRequestsAtOnce(t *testing.T) {
	var name proxy.ConnSlot[*string]
	var number proxy.ConnSlot[int]
	register(&name, &number)
	var c proxy.Conn
	if name.Load(&c) != nil || number.Load(&c) != 0 {
		t.Fatalf("a connection begins with %v and %d, want nil and 0", name.Load(&c), number.Load(&c))
	}
	texts := [4]string{"a", "b", "c", "d"}
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			for n := range 200 {
				name.Store(&c, &texts[i])
				number.Store(&c, n)
				if p := name.Load(&c); p == nil || !strings.Contains("abcd", *p) {
					t.Errorf("loaded %v, want one of the values that were stored", p)
				}
			}
		})
	}
	wg.Wait()
	if number.Load(&c) != 199 {
		t.Errorf("the last number is %d, want 199", number.Load(&c))
	}
}

func TestASlotThatNoModuleListsPanics(t *testing.T) {
	for name, use := range map[string]func(){
		"exchange":   func() { new(proxy.ExchangeSlot[int]).In(proxy.NewExchange(&proxy.Conn{}, nil)) },
		"location":   func() { new(proxy.LocationSlot[int]).Set(new(proxy.Location), 1) },
		"connection": func() { new(proxy.ConnSlot[int]).Store(new(proxy.Conn), 1) },
	} {
		func() {
			defer func() {
				if v := recover(); v != "a slot is used that no Module's State lists" {
					t.Errorf(`%s: %v; want "a slot is used that no Module's State lists"`, name, v)
				}
			}()
			use()
		}()
	}
}

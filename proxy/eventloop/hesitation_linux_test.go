package eventloop

import (
	"testing"
	"time"
)

func TestALoopLooksForWorkWhileASourceExpectsIt(t *testing.T) {
	l, err := newLoop(&Group{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.poller.close()
	l.hesitation.limit = time.Hour
	if l.hesitates() {
		t.Error("it looks for work without a Source, want no")
	}
	idle, owing := &counter{}, &counter{}
	l.AddSource(idle)
	l.AddSource(owing)
	for _, expects := range []bool{false, true, true, false} {
		owing.expects.Store(expects)
		l.hesitation.began = 0 // or it lets others run first, for however long
		if got := l.hesitates(); got != expects {
			t.Errorf("one of two Sources expects work: %v; the Loop looks for work: %v", expects, got)
		}
	}
}

package framestest

import (
	"slices"
	"strings"
)

// Limit is the largest message that the servers of the table take.
const Limit = 100_000

// Case has the bytes that a client sends after the handshake, and the answer of an echo
// server.
type Case struct {
	Section string // of RFC 6455, or "7692 " and one of RFC 7692
	Name    string
	Offer   string // Sec-WebSocket-Extensions
	Send    []byte
	Want    string // as Outcome returns it
	// Websockets and Wsproto are the ends of the answers of uvicorn's two implementations,
	// if they differ from the end of Want; Why is the reason.
	Websockets, Wsproto, Why string
}

// Cases returns the table.
func Cases() []Case {
	return slices.Concat(framing(), control(), closing(), texts(), limits(), deflate())
}

// Bye returns the close that the client sends after n answers of the server. It is nil while
// answers are to come, and for a case that ends without a close of the client.
func (c Case) Bye(n int) []byte {
	if strings.Count(c.Want, "; ") > n || strings.HasSuffix(c.Want, "eof") || c.Fails() {
		return nil
	}
	return Frame(Fin|Close, Code(1000, ""))
}

// Fails reports whether the case ends because the client breaks a rule.
func (c Case) Fails() bool {
	code := c.Want[max(0, len(c.Want)-4):]
	return c.Section != "7.4.1 codes" && (code == "1002" || code == "1007" || code == "1009")
}

func join(frames ...[]byte) []byte { return slices.Concat(frames...) }

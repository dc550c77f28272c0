package resolver

import (
	"fmt"
	"syscall"

	"github.com/miekg/dns"
)

// Failure is why a name was not resolved.
type Failure struct {
	name string
	code int // the RCODE of the answer, RFC 1035 section 4.1.1, or one of the codes below
}

// Codes that no name server sends.
const (
	codeTimedOut = int(syscall.ETIMEDOUT)
	codeTooMany  = -1
)

// Error returns the message of nginx.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s could not be resolved (%d: %s)", f.name, max(f.code, 0), codeText(f.code))
}

// NoSuchName reports whether a name server has answered that the name, or such a record of
// it, does not exist.
func (f *Failure) NoSuchName() bool { return f.code == dns.RcodeNameError }

func codeText(code int) string {
	switch code {
	case dns.RcodeFormatError:
		return "Format error"
	case dns.RcodeServerFailure:
		return "Server failure"
	case dns.RcodeNameError:
		return "Host not found"
	case dns.RcodeNotImplemented:
		return "Unimplemented"
	case dns.RcodeRefused:
		return "Operation refused"
	case codeTimedOut:
		return "Operation timed out"
	case codeTooMany:
		return "Too many names are being resolved"
	}
	return "Unknown error"
}

// Package upstream is what content from elsewhere needs on its way through
// the front, whichever protocol it speaks.
//
// The model:
//
//	Body         a request body, read completely before an upstream is taken
//	Head         the checked head of a response
//	WriteBehind  a response's blocks that the client has not taken yet
//
// A protocol gives Head the status and the fields as it decoded them: Begin, Add,
// End. What belongs to the connection to the upstream is left out there, and what
// is for this server (X-Accel-*) is taken out. Apply gives a response the rest.
//
// Neither a slow upload nor a slow reader may hold an upstream. Body and
// WriteBehind keep little data in memory and more in files without a name, and
// both are bounded by settings of the location.
package upstream

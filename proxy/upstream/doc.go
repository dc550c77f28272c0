// Package upstream is what content from elsewhere needs on its way through
// the front, whichever protocol it speaks.
//
// The model:
//
//	Body         a request body, read completely before an upstream is taken
//	WriteBehind  a response's blocks that the client has not taken yet
//
// Neither a slow upload nor a slow reader may hold an upstream. Both keep
// little data in memory and more in files without a name, and both are
// bounded by settings of the location.
package upstream

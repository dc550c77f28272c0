//go:build !profile

package main

// profile does nothing: only a build with the tag profile is measured.
func profile() func() { return func() {} }

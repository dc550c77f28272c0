package static

// linkRule says which symbolic links a name may lead through.
type linkRule struct{}

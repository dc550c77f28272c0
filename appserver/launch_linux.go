package appserver

const bundlePath = "/proc/self/fd/3"

package appserver

const bundlePath = "/dev/fd/3"

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"alicorn/proxy"
)

// show prints the output of write, and escapes bytes of servers, applications and files
// that would control the terminal.
func show(w io.Writer, write func(w io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	_, err := w.Write(proxy.AppendPrintable(nil, b.String()))
	return err
}

// showJSON prints v as JSON, with every character escaped that is not printable.
func showJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if r == '\n' || proxy.IsPrintable(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

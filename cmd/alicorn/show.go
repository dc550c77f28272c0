package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"alicorn/proxy"
)

// show prints what write writes. The strings of servers, applications and files
// in it cannot rule the terminal.
func show(w io.Writer, write func(w io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	_, err := w.Write(proxy.AppendPrintable(nil, b.String()))
	return err
}

// showJSON prints v as JSON, in which everything that is not printable is
// escaped; readers get it as it was.
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

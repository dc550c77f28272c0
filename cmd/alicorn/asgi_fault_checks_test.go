package main

// faultChecks are the checks of testdata/asgi/checks/checks_faults.py.
func faultChecks() []asgiCheck {
	const (
		cut   = "no answer: unexpected EOF"
		taken = "send takes "
	)
	return []asgiCheck{
		{name: "body_before_start", talk: survive},
		{name: "start_twice", talk: survive},
		{name: "unknown_type", talk: survive},
		{name: "message_without_type", talk: survive},
		{name: "message_is_no_dict", talk: survive},
		{name: "websocket_message", talk: survive},
		{name: "body_after_the_end"},
		{name: "start_after_the_end"},
		{name: "start_without_status", talk: survive, uvicorn: cut},
		{name: "status_is_no_number", talk: survive, uvicorn: cut},
		{name: "status_is_out_of_range", talk: survive, uvicorn: cut},
		{name: "header_is_a_string", talk: survive, uvicorn: cut},
		{name: "header_value_is_a_number", talk: survive, uvicorn: cut},
		{name: "header_splits_the_response", talk: survive, uvicorn: cut},
		{name: "header_name_is_invalid", talk: survive, uvicorn: taken},
		{name: "headers_are_no_pairs", talk: survive, uvicorn: cut},
		{name: "length_is_no_number", talk: survive, uvicorn: cut},
		{name: "body_is_a_string", talk: survive},
		{name: "body_longer_than_its_length", talk: cutOff},
		{name: "body_shorter_than_its_length", talk: cutOff},
		{name: "body_of_204", status: 204, talk: twice, uvicorn: "no answer: "},
		{name: "body_of_304", status: 304, talk: twice, uvicorn: "no answer: "},
		{name: "extension_that_is_not_offered", talk: survive},
		{name: "raises_before_start", status: 500, want: "*"},
		{name: "raises_after_start", talk: cutOff},
		{name: "raises_after_the_end", talk: twice, uvicorn: "no answer: "},
		{name: "returns_without_response", status: 500, want: "*"},
		{name: "returns_after_start", talk: cutOff},
		{name: "returns_within_the_body", talk: cutOff},
		{name: "returns_a_value", talk: twice},
	}
}

// survive expects the right answer, or an error: the application tries to answer after a
// message that was refused, and a server may let it.
func survive(c *asgiClient, k asgiCheck) {
	c.send(k.request())
	switch a := c.read("GET"); {
	case a.status == 0 || a.status >= 500 && a.complete:
	case a.cut && a.length >= 0:
	default:
		c.same(a.status, 200, "status")
		c.same(a.body, "ok", "body")
	}
}

// cutOff expects an answer that is an error, or that does not look whole.
func cutOff(c *asgiClient, k asgiCheck) {
	c.send(k.request())
	if a := c.readCut(); a.complete && a.status < 500 {
		c.fault("the answer looks whole: status %d, %q", a.status, a.body)
	}
}

// readCut is read for an answer that may not even begin.
func (c *asgiClient) readCut() asgiAnswer {
	noted := len(c.faults)
	a := c.read("GET")
	if a.status == 0 {
		c.faults = c.faults[:noted]
	}
	return a
}

// lifespanChecks are the checks of testdata/asgi/checks/checks_lifespan.py.
func lifespanChecks() []asgiCheck {
	return []asgiCheck{
		{name: "lifespan_runs_once"},
		{name: "lifespan_scope"},
		{name: "lifespan_startup"},
		{name: "lifespan_state", uvicorn: "has no state"},
		{name: "state_is_a_copy", uvicorn: "has no state", talk: func(c *asgiClient, k asgiCheck) {
			for _, k.target = range []string{"?1", "?2"} {
				k.exchange(c)
			}
		}},
	}
}

package appserver

// queue is the requests that wait for a worker, in the order of their arrival.
type queue struct {
	first, last *request
	length      int
}

// pushBack adds r, which has arrived last.
func (q *queue) pushBack(r *request) { q.insert(r, nil) }

// merge adds requests that were here before. They are in the order of arrival.
func (q *queue) merge(back []*request) {
	at := q.first
	for _, r := range back {
		for at != nil && at.arrival < r.arrival {
			at = at.next
		}
		q.insert(r, at)
	}
}

// insert puts r in front of next; nil is the end.
func (q *queue) insert(r, next *request) {
	prev := q.last
	if next != nil {
		prev = next.prev
	}
	r.at, r.prev, r.next = placeQueued, prev, next
	if prev != nil {
		prev.next = r
	} else {
		q.first = r
	}
	if next != nil {
		next.prev = r
	} else {
		q.last = r
	}
	q.length++
}

func (q *queue) remove(r *request) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		q.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		q.last = r.prev
	}
	r.at, r.prev, r.next = placeOutside, nil, nil
	q.length--
}

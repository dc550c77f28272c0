package pool

// queue has the requests that wait for a worker, in the order of their arrival.
type queue struct {
	first, last *Job
	length      int
}

// pushBack adds j, which has arrived last.
func (q *queue) pushBack(j *Job) { q.insert(j, nil) }

// merge adds requests that come back, in their places. back must be in the order of arrival.
func (q *queue) merge(back []*Job) {
	at := q.first
	for _, j := range back {
		for at != nil && at.arrival < j.arrival {
			at = at.next
		}
		q.insert(j, at)
	}
}

// insert inserts j before next; at the end if next is nil.
func (q *queue) insert(j, next *Job) {
	prev := q.last
	if next != nil {
		prev = next.prev
	}
	j.at, j.prev, j.next = placeQueued, prev, next
	if prev != nil {
		prev.next = j
	} else {
		q.first = j
	}
	if next != nil {
		next.prev = j
	} else {
		q.last = j
	}
	q.length++
}

// remove removes j.
func (q *queue) remove(j *Job) {
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		q.first = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		q.last = j.prev
	}
	j.at, j.prev, j.next = placeOutside, nil, nil
	q.length--
}

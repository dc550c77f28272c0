package pool

import "math/bits"

// table has the jobs that a worker was sent and has not answered, and counts all jobs of the
// worker. The pool's lock guards it.
type table struct {
	jobs        []*Job   // by place; nil: the place is free
	free        []uint16 // the free places
	bits        int      // how many low bits of an id are the place
	sequence    uint32   // the other bits of the last id
	outstanding int      // how many jobs are in the table
	assigned    uint64   // how many jobs the worker was given, for round_robin
	served      uint64   // how many jobs the worker has answered
	newest      uint64   // arrival of the newest job that was sent; 0 once it was recalled
	limit       uint64   // how many jobs the worker may be given; 0: no limit
}

// fewestBits is the least number of bits of an id for the place. With it the form of an id does
// not depend on the number of threads.
const fewestBits = 11

// indexBits returns how many bits the places of a table need.
func indexBits(size int) int { return max(bits.Len(uint(size-1)), fewestBits) }

// newTable returns a table with size places.
func newTable(size int, limit uint64) table {
	t := table{jobs: make([]*Job, size), bits: indexBits(size), limit: limit}
	for i := range t.jobs {
		t.free = append(t.free, uint16(len(t.jobs)-1-i))
	}
	return t
}

// enter gives j a place and an id.
func (t *table) enter(j *Job) {
	index := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.sequence = (t.sequence + 1) & (1<<(32-t.bits) - 1)
	if t.sequence == 0 {
		t.sequence = 1
	}
	t.jobs[index] = j
	t.outstanding++
	t.assigned++
	j.id = t.sequence<<t.bits | uint32(index)
}

// leave removes j.
func (t *table) leave(j *Job) {
	index := t.place(j.id)
	t.jobs[index] = nil
	t.free = append(t.free, uint16(index))
	t.outstanding--
}

// place returns the place of the job with this id.
func (t *table) place(id uint32) int { return int(id & (1<<t.bits - 1)) }

// find returns the job with this id; nil if there is none.
func (t *table) find(id uint32) *Job {
	index := t.place(id)
	if index >= len(t.jobs) {
		return nil
	}
	if j := t.jobs[index]; j != nil && j.id == id {
		return j
	}
	return nil
}

// sent notes that j was sent. Jobs may be sent in another order than they have arrived in.
func (t *table) sent(j *Job) { t.newest = max(t.newest, j.arrival) }

// recalled notes that all jobs that the worker has not received are taken back.
func (t *table) recalled() { t.newest = 0 }

// unassign takes back the count of a job that was assigned.
func (t *table) unassign() { t.assigned-- }

// left returns how many more jobs the worker may be given.
func (t *table) left() int { return max(int(t.limit)-int(t.served)-t.outstanding, 0) }

package eventloop

// Labor waits for one of the Group's places for work that computes for long
// beside the Loops: one for each goroutine that the scheduler runs at once beside
// the Loops' leaders, so that a leader never waits for a processor. The owner, who
// has detached, keeps the place until Rest; while it waits for the peer it has
// none. It has no effect on an owner that has a place.
func (d *Descriptor) Labor() {
	if d.labors {
		return
	}
	d.labors = true
	d.loop.group.places <- struct{}{}
}

// Rest gives the place away that Labor took, if the owner has one.
func (d *Descriptor) Rest() {
	if d.labors {
		d.labors = false
		<-d.loop.group.places
	}
}

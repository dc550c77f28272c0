package eventloop

// Labor waits for one of the Group's places for labor, work that computes for long.
// There is one place for each goroutine that the scheduler can run at once beside the
// Loops' leaders, so that a leader never waits for a processor. While a Source expects work,
// labor takes half of the places only: the work comes from other processes, which need
// processors too. The owner must have detached. It keeps the place until Rest, except while it
// waits for the peer. If the owner has a place already, Labor does nothing.
func (d *Descriptor) Labor() {
	if d.labors {
		return
	}
	g := d.loop.group
	if d.shares = g.expects(); d.shares {
		g.half <- struct{}{}
	}
	g.places <- struct{}{}
	d.labors = true
}

// Rest gives back the place that Labor has taken, if the owner has one.
func (d *Descriptor) Rest() {
	if !d.labors {
		return
	}
	d.labors = false
	<-d.loop.group.places
	if d.shares {
		<-d.loop.group.half
	}
}

// Yield gives the place away and waits for one anew. In some calls it also lets other threads
// run first. Labor that consists of many small parts calls it between them. The owner must
// have detached.
func (d *Descriptor) Yield() {
	d.Rest()
	d.Labor()
	if d.yields++; d.yields%giveWayEvery == 0 {
		GiveWay()
	}
}

// giveWayEvery is how many calls of Yield there are for one of GiveWay. Between two of them 512 KB
// of a file are sent, which takes about 0.1 ms. Once for each 64 KB, sending large files cost 2 to 3
// times as much processor time.
const giveWayEvery = 8

// GiveWay lets other threads run that wait for this processor, such as the leader of a Loop and
// workers of applications. Long labor calls it now and then, because otherwise the system lets
// them wait until the labor's time slice ends (about 3 ms in Linux). The goroutine must not lead
// a Loop.
func GiveWay() { giveWay() }

//! Ageing: events become tiles, tiles become longer, and what no window reaches is dropped.

use foretell_features::aggregate::{Ageing, Bucket, StreamPlan};
use foretell_features::{Partial, Span, Timestamp, WindowEvent, WindowPlan};

use super::section::tile_parts;
use super::{RAW_KEEP, RAW_MAX, Tile, WindowState};

/// The tile of everything that no window reaches.
const EVER: (Timestamp, Span) = (Timestamp(i64::MIN), Span(0));

impl WindowState {
    /// Folds and drops what has become old, so that the record stays small however many events come. `now` is the clock: an
    /// event dated after it ages nothing, and is not folded itself. Events that an exact window reaches are never folded.
    pub fn compact(&mut self, plan: &WindowPlan, now: Timestamp) {
        let Some(newest) = self.newest() else { return };
        let settled = newest.min(now);
        let watermark = self.watermark.max(settled);
        let ageing = plan.ageing(watermark, self.through);
        let aged = self.fold(plan, &ageing, settled, now) | self.coarsen(plan, &ageing);
        if aged {
            self.watermark = watermark;
        }
    }

    /// The oldest events go into tiles or away. Whether there were any.
    fn fold(&mut self, plan: &WindowPlan, ageing: &Ageing, settled: Timestamp, now: Timestamp) -> bool {
        let kept = if self.raw.len() > RAW_MAX {
            RAW_KEEP
        } else {
            self.raw.len()
        };
        let surplus = self.raw.len() - kept;
        let goes = |(at, it): (usize, &WindowEvent)| {
            it.time < settled
                && match ageing.bucket(it.time) {
                    Bucket::Raw => false,
                    Bucket::Beyond => true,
                    Bucket::Tile { .. } | Bucket::Ever => at < surplus && it.known.is_none_or(|it| it <= now),
                }
        };
        let going: Vec<bool> = self.raw.iter().enumerate().map(goes).collect();
        if !going.contains(&true) {
            return false;
        }
        let raw = std::mem::take(&mut self.raw);
        for (event, goes) in raw.into_iter().zip(going) {
            if goes {
                self.put_away(plan, ageing, event);
            } else {
                self.raw.push(event);
            }
        }
        true
    }

    fn put_away(&mut self, plan: &WindowPlan, ageing: &Ageing, event: WindowEvent) {
        // Nothing is between the events of the oldest tile: what it spans no window reaches.
        let in_oldest = self
            .tiles
            .first()
            .is_some_and(|it| it.is_ever() && event.time <= it.last);
        let (from, length) = match ageing.bucket(event.time) {
            Bucket::Tile { .. } if in_oldest => EVER,
            Bucket::Tile { from, length } => (from, length),
            Bucket::Ever => EVER,
            Bucket::Beyond | Bucket::Raw => return self.forget(ageing),
        };
        self.known_through = self.known_through.max(event.known.unwrap_or(self.known_through));
        let at = self.tiles.partition_point(|it| (it.from, it.length) < (from, length));
        if self
            .tiles
            .get(at)
            .is_none_or(|it| (it.from, it.length) != (from, length))
        {
            self.tiles.insert(at, Tile::empty(plan, from, length));
        }
        self.tiles[at].add(&event);
    }

    /// Tiles that have become old go into longer ones or away. Whether there were any.
    fn coarsen(&mut self, plan: &WindowPlan, ageing: &Ageing) -> bool {
        let old = |it: &Tile| match it.is_ever() {
            true => None,
            false => ageing.coarser(it.from, it.length, it.last),
        };
        if self.tiles.iter().all(|it| old(it).is_none()) {
            return false;
        }
        for tile in std::mem::take(&mut self.tiles) {
            let (from, length) = match old(&tile) {
                None | Some(Bucket::Raw) => (tile.from, tile.length),
                Some(Bucket::Tile { from, length }) => (from, length),
                Some(Bucket::Ever) => EVER,
                Some(Bucket::Beyond) => {
                    self.forget(ageing);
                    continue;
                }
            };
            match self.tiles.last_mut() {
                Some(last) if (last.from, last.length) == (from, length) => last.merge(&tile),
                _ if (from, length) == (tile.from, tile.length) => self.tiles.push(tile),
                _ => {
                    let mut longer = Tile::empty(plan, from, length);
                    longer.merge(&tile);
                    self.tiles.push(longer);
                }
            }
        }
        true
    }

    fn forget(&mut self, ageing: &Ageing) {
        let before = ageing.dropped_before().unwrap_or(self.dropped_before);
        self.dropped_before = self.dropped_before.max(before);
    }
}

impl Tile {
    fn empty(plan: &WindowPlan, from: Timestamp, length: Span) -> Self {
        let partial = |it: &StreamPlan| Partial::new(it.data_type, tile_parts(it, length));
        Self {
            from,
            length,
            first: Timestamp(i64::MAX),
            last: Timestamp(i64::MIN),
            events: 0,
            streams: plan.streams().iter().map(partial).collect(),
        }
    }

    fn is_ever(&self) -> bool {
        (self.from, self.length) == EVER
    }

    fn add(&mut self, event: &WindowEvent) {
        for (partial, value) in self.streams.iter_mut().zip(&event.values) {
            if let Some(value) = value {
                partial.add(value, event.time, event.known);
            }
        }
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
        self.events = self.events.saturating_add(1);
    }

    fn merge(&mut self, other: &Self) {
        for (partial, other) in self.streams.iter_mut().zip(&other.streams) {
            partial.merge(other);
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.events = self.events.saturating_add(other.events);
    }
}

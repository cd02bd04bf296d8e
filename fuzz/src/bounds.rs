//! An allocator that counts what is live, and a clock that counts what this thread computes: the process ends where a reader of a
//! file needs too much of either.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What a reader may hold beside ten times its file.
const SLACK: usize = 1 << 20;
const FACTOR: usize = 10;
const NO_LIMIT: usize = usize::MAX;

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(NO_LIMIT);

/// Of processor time: libFuzzer's own `-timeout` counts the wall's, which on a busy machine says nothing of the reader.
const MOST_TIME: Duration = Duration::from_secs(1);

/// Runs a reader of `size` bytes; the process ends (a crash for libFuzzer) when it holds over `10 * size` bytes and a mebibyte, or
/// has computed for over a second.
pub fn bounded<T>(size: usize, read: impl FnOnce() -> T) -> T {
    LIMIT.store(LIVE.load(Relaxed) + FACTOR * size + SLACK, Relaxed);
    let began = computed();
    let result = read();
    let took = computed() - began;
    LIMIT.store(NO_LIMIT, Relaxed);
    assert!(took <= MOST_TIME, "computed {took:?} for {size} bytes");
    result
}

/// Processor time of this thread so far.
fn computed() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the result goes to a variable that lives.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    assert_eq!(code, 0, "every thread has such a clock");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    if live > LIMIT.load(Relaxed) {
        // What follows allocates, and must not come here again.
        LIMIT.store(NO_LIMIT, Relaxed);
        panic!("holds {live} bytes with this allocation of {bytes}: over ten times the file and a mebibyte");
    }
}

fn shrink(bytes: usize) {
    LIVE.fetch_sub(bytes, Relaxed);
}

// SAFETY: all work is the system allocator's; beside it numbers are counted. The panic in `grow` aborts at once by
// libFuzzer's hook and never unwinds.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as of this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as of this function.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        shrink(layout.size());
        // SAFETY: as of this function.
        unsafe { System.realloc(at, layout, size) }
    }
}

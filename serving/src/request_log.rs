//! The request log: what was asked, what was read, what was answered, as Parquet segments for parity and drift.
//!
//! Requests hand their rows to one writer thread over a bounded queue; when it is full, rows are dropped and counted, no
//! request ever waits. A segment is kept in memory until it is closed by rows or by time, then written under another name
//! and renamed into place, so that every `*.parquet` in the folder is whole.

mod segment;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use foretell_features::Timestamp;

use crate::clock::real_now;
use crate::plan::Frame;
use crate::request::{PredictRequest, Row};
use crate::response::{PredictResponse, Prediction};
use crate::servable::Servable;
use segment::Segment;

/// Requests and rows that may wait for the writer.
const QUEUED_REQUESTS: usize = 4096;
const QUEUED_ROWS: usize = 65_536;

/// When a segment is closed.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// Rows of a segment.
    pub rows: usize,
    /// Time from its first row.
    pub time: Duration,
}

/// A handle of the log. Cloning is cheap; clones write to the same log.
#[derive(Debug, Clone)]
pub struct RequestLog {
    sender: SyncSender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicUsize,
    dropped: AtomicU64,
    written: AtomicU64,
    requests: AtomicU64,
}

enum Message {
    Request(LoggedRequest),
    Flush(SyncSender<()>),
}

/// One request as it travels to the writer.
pub(crate) struct LoggedRequest {
    id: String,
    time: Timestamp,
    as_of: Timestamp,
    servable: Arc<Servable>,
    rows: Vec<LoggedRow>,
    took: Duration,
}

/// One row of a request.
pub(crate) struct LoggedRow {
    key: Option<Row>,
    frame: Option<Frame>,
    /// Less its reasons and components, which follow from the inputs.
    answer: Prediction,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            rows: 50_000,
            time: Duration::from_secs(10),
        }
    }
}

impl RequestLog {
    /// Starts the writer thread; segments go to `folder`, which is created if absent.
    ///
    /// # Errors
    /// The folder or the thread cannot be made.
    pub fn open(folder: &Path, limits: LogLimits) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (sender, receiver) = sync_channel(QUEUED_REQUESTS);
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            folder: folder.to_owned(),
            limits,
            counts: Arc::clone(&counts),
            segment: None,
        };
        std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || writer.run(&receiver))?;
        Ok(Self { sender, counts })
    }

    /// Writes everything logged so far; returns when it is in place. Blocks: not for I/O threads.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            // An error means that the writer is gone, and with it what could be flushed.
            let _ = wait.recv();
        }
    }

    /// Rows that there was no room for, or that could not be written.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Rows in finished segments.
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    pub(crate) fn record(
        &self,
        servable: &Arc<Servable>,
        request: &PredictRequest,
        rows: Vec<LoggedRow>,
        as_of: Timestamp,
        took: Duration,
    ) {
        let n_rows = rows.len();
        let queued = self.counts.queued.fetch_add(n_rows, Ordering::Relaxed);
        let time = real_now();
        let number = self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let id = request
            .request_id
            .clone()
            .unwrap_or_else(|| format!("{:x}-{number:x}", time.0));
        let logged = LoggedRequest {
            id,
            time,
            as_of,
            servable: Arc::clone(servable),
            rows,
            took,
        };
        if queued + n_rows > QUEUED_ROWS || self.sender.try_send(Message::Request(logged)).is_err() {
            self.counts.queued.fetch_sub(n_rows, Ordering::Relaxed);
            self.counts.dropped.fetch_add(n_rows as u64, Ordering::Relaxed);
        }
    }
}

impl LoggedRow {
    /// The rows of a response with the frames they were scored from; forecasts have no frames.
    pub(crate) fn of(frames: Vec<Option<Frame>>, response: &PredictResponse) -> Vec<Self> {
        let frames = frames.into_iter().chain(std::iter::repeat_with(|| None));
        let row = |(answer, frame): (&Prediction, Option<Frame>)| Self {
            key: answer.entity.clone().or_else(|| answer.series.clone()),
            frame,
            answer: Prediction {
                entity: None,
                series: None,
                reasons: vec![],
                components: vec![],
                ..answer.clone()
            },
        };
        response.predictions.iter().zip(frames).map(row).collect()
    }
}

struct Writer {
    folder: PathBuf,
    limits: LogLimits,
    counts: Arc<Counts>,
    segment: Option<(Segment, Instant)>,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let deadline = self.segment.as_ref().map_or(self.limits.time, |(_, since)| {
                self.limits.time.saturating_sub(since.elapsed())
            });
            match receiver.recv_timeout(deadline) {
                Ok(Message::Request(request)) => self.add(&request),
                Ok(Message::Flush(done)) => {
                    self.close();
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.close(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            if self
                .segment
                .as_ref()
                .is_some_and(|it| it.0.n_rows() >= self.limits.rows)
            {
                self.close();
            }
        }
    }

    fn add(&mut self, request: &LoggedRequest) {
        let (segment, _) = self.segment.get_or_insert_with(|| (Segment::default(), Instant::now()));
        segment.add(request);
        self.counts.queued.fetch_sub(request.rows.len(), Ordering::Relaxed);
    }

    fn close(&mut self) {
        let Some((segment, _)) = self.segment.take() else {
            return;
        };
        let rows = segment.n_rows() as u64;
        match segment.write(&self.folder) {
            Ok(()) => self.counts.written.fetch_add(rows, Ordering::Relaxed),
            Err(error) => {
                tracing::error!(%error, folder = %self.folder.display(), rows, "a segment of the request log is lost");
                self.counts.dropped.fetch_add(rows, Ordering::Relaxed)
            }
        };
    }
}

//! [`StreamTask`]: keeps a stream open.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use goff_core::__internal::{Backoff, Panicked, StopSignal, contained, random_u64};
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::{Connection, Frame};
use crate::cut_ages::CutAges;
use crate::error::StreamError;
use crate::monitor::StreamMonitor;
use crate::opener::{OpenStream, Opener};
use crate::report::Report;

/// The state of the task.
pub(crate) struct StreamTask {
    opener: Opener,
    report: Report,
    streams: Streams,
    cut_ages: CutAges,
    pauses: Pauses,
}

/// The streams that are read: none before the first one and in a gap, usually one, and two at the
/// end of a hand-over.
#[derive(Default)]
struct Streams {
    current: Option<Connection>,
    previous: Option<Closing>,
}

/// The stream before the current one, after its close frame was sent. It is read until the server
/// has answered the frame: what the server sent before it subscribed the current stream may still be
/// on its way.
struct Closing {
    connection: Connection,
    since: Instant,
}

/// How an open stream ended.
struct Lost {
    error: StreamError,
    /// The time since the stream, or the first one that was handed over to it, was open.
    lasted: Duration,
    /// The age of the connection, if it was cut.
    cut_at: Option<Duration>,
}

impl StreamTask {
    pub(crate) fn new(opener: Opener, report: Report, longest_pause: Duration) -> Self {
        Self {
            opener,
            report,
            streams: Streams::default(),
            cut_ages: CutAges::default(),
            pauses: Pauses::new(longest_pause),
        }
    }

    pub(crate) async fn run(mut self, mut stop: StopSignal, monitor: StreamMonitor) {
        let _guard = DownOnDrop(monitor);
        tokio::select! {
            () = stop.stopped() => {}
            () = self.keep_listening() => {}
        }
        self.streams.close();
    }

    /// Listens again after a panic, which is a fault of the sink or the connector, or of this crate.
    async fn keep_listening(&mut self) {
        loop {
            let Err(panicked) = contained("listening", pin!(self.listen())).await;
            self.streams = Streams::default();
            // Telling the sink may panic again.
            let telling = pin!(async { self.pause_after_panic(panicked) });
            let told = contained("listening", telling).await;
            sleep(told.unwrap_or(self.pauses.longest)).await;
        }
    }

    async fn listen(&mut self) -> ! {
        loop {
            let opened = self.reopen().await;
            let lost = self.follow(opened).await;
            let pause = self.pause_after(lost);
            self.pause(pause).await;
        }
    }

    /// Waits before the next attempt. With another key it may succeed, and is made at once.
    async fn pause(&mut self, pause: Duration) {
        self.report.pausing(pause);
        tokio::select! {
            () = sleep(pause) => {}
            () = self.opener.rekeyed() => {
                self.pauses = Pauses::new(self.pauses.longest);
                self.report.rekeyed();
            }
        }
    }

    /// Tries until a stream is open.
    async fn reopen(&mut self) -> OpenStream {
        loop {
            let error = match self.opener.open().await {
                Ok(opened) => return opened,
                Err(error) => error,
            };
            let pause = self.pauses.after_failure(&error);
            self.report.failed(error);
            self.pause(pause).await;
        }
    }

    /// Reads an open stream, and hands over to the next one in time, until a stream is lost.
    async fn follow(&mut self, first: OpenStream) -> Lost {
        let Self {
            opener,
            report,
            streams,
            cut_ages,
            pauses,
        } = self;
        let opened = Instant::now();
        report.opened();
        let mut stream = first;
        loop {
            let established = stream.connection.established();
            streams.hand_over_to(stream.connection, report);
            if let Some(frame) = stream.first {
                report.received(frame).await;
            }
            let hand_over = cut_ages
                .hand_over_age(random_u64())
                .map(|age| established + age);
            let mut next = pin!(open_next(opener, report, hand_over, pauses.longest));
            stream = loop {
                tokio::select! {
                    read = next_frame(streams.current.as_mut()) => match read {
                        Ok(frame) => report.received(frame).await,
                        Err(error) => {
                            let current = streams.current.take();
                            // The other one is of no use without it.
                            streams.previous = None;
                            let cut_at = current.and_then(|stream| stream.age_at_cut(&error));
                            let lasted = opened.elapsed();
                            report.lost(&error, lasted);
                            return Lost { error, lasted, cut_at };
                        }
                    },
                    read = next_frame(streams.previous.as_mut().map(|it| &mut it.connection)) => {
                        streams.read_previous(read, report).await;
                    }
                    next = &mut next => break next,
                }
            };
            report.handed_over(established.elapsed());
        }
    }

    fn pause_after_panic(&mut self, panicked: Panicked) -> Duration {
        let error = StreamError::Panicked(panicked);
        let pause = self.pauses.after_failure(&error);
        let was_open = self.report.is_open();
        self.report.failed(error);
        if was_open {
            self.report.down();
        }
        pause
    }

    /// The pause after a stream was lost. A stream that was open is reopened soon. One that was open
    /// only for a moment, or sent garbage, is like a failed attempt.
    fn pause_after(&mut self, lost: Lost) -> Duration {
        let Lost {
            error,
            lasted,
            cut_at,
        } = lost;
        if cut_at.is_none() {
            self.pauses.cut = None;
        }
        if lasted < MOMENT || cut_at.is_none() {
            let pause = self.pauses.after_failure(&error);
            self.report.failed(error);
            return pause;
        }
        if let Some(age) = cut_at.filter(|age| *age >= SHORTEST_CUT_AGE) {
            self.cut_ages.note(age);
        }
        self.report.cut(error);
        self.pauses.after_cut()
    }
}

impl Streams {
    /// Makes `next` the current stream, and closes the one before.
    fn hand_over_to(&mut self, next: Connection, report: &Report) {
        if self.previous.take().is_some() {
            report.not_drained(&"it was not closed until the next hand-over");
        }
        self.previous = self.current.replace(next).map(|mut connection| {
            connection.close();
            let since = Instant::now();
            Closing { connection, since }
        });
    }

    async fn read_previous(&mut self, read: Result<Frame, StreamError>, report: &Report) {
        let has_ended = match read {
            Ok(frame) => {
                report.received(frame).await;
                let since = self.previous.as_ref().map(|closing| closing.since);
                let has_ended = since.is_none_or(|since| since.elapsed() >= CLOSING);
                if has_ended {
                    // This frame may be an old one, and a change may follow it.
                    report.not_drained(&"the server does not answer close frames");
                }
                has_ended
            }
            Err(StreamError::Closed { by_frame: true }) => true,
            Err(error) => {
                report.not_drained(&error);
                true
            }
        };
        if has_ended {
            self.previous = None;
        }
    }

    /// Sends a close frame, without waiting. The previous stream has got its own.
    fn close(self) {
        if let Some(mut connection) = self.current {
            connection.close();
        }
    }
}

/// The next frame of a stream; waits forever without one.
async fn next_frame(stream: Option<&mut Connection>) -> Result<Frame, StreamError> {
    match stream {
        Some(connection) => connection.next().await,
        None => pending().await,
    }
}

/// Opens the next stream at `hand_over`, the time by which the current one has not been cut yet, and
/// when there is another key.
async fn open_next(
    opener: &mut Opener,
    report: &Report,
    hand_over: Option<Instant>,
    longest_pause: Duration,
) -> OpenStream {
    tokio::select! {
        () = at(hand_over) => {}
        () = opener.rekeyed() => {}
    }
    let mut pauses = Pauses::new(longest_pause);
    let mut warns = true;
    loop {
        let error = match opener.open().await {
            Ok(opened) => return opened,
            Err(error) => error,
        };
        report.not_handed_over(&error, warns && error.is_refusal());
        warns &= !error.is_refusal();
        tokio::select! {
            () = sleep(pauses.after_failure(&error)) => {}
            () = opener.rekeyed() => {
                pauses = Pauses::new(longest_pause);
                warns = true;
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The pauses between attempts. They are random, so that the clients of a relay proxy that is
/// restarted do not come back at the same time.
struct Pauses {
    longest: Duration,
    /// For attempts that do not follow a cut.
    failures: Backoff,
    /// When the stream was cut whose successor is to be opened.
    cut: Option<Instant>,
}

impl Pauses {
    fn new(longest: Duration) -> Self {
        Self {
            longest,
            failures: Backoff::new(longest),
            cut: None,
        }
    }

    /// Up to a second, however often streams are cut.
    fn after_cut(&mut self) -> Duration {
        *self = Self::new(self.longest);
        self.cut = Some(Instant::now());
        self.drawn(AFTER_CUT)
    }

    /// Up to two seconds after a cut, and up to half of the time since then once that is longer: the
    /// clients of a relay proxy that was down for ten seconds are back within five. Doubled pauses
    /// would be about as long as the outage. Up to 100 ms without a cut, doubling.
    fn after_failure(&mut self, error: &StreamError) -> Duration {
        let pause = match self.cut {
            Some(cut) => self.drawn(FAILURE_AFTER_CUT.max(cut.elapsed() / 2)),
            None => self.failures.pause(random_u64()),
        };
        match error.retry_after() {
            Some(wait) => (wait + pause).min(self.longest).max(pause),
            None => pause,
        }
    }

    fn drawn(&self, ceiling: Duration) -> Duration {
        Backoff::new(self.longest)
            .starting_at(ceiling)
            .pause(random_u64())
    }
}

/// Sets the state to down when the task ends or is aborted.
struct DownOnDrop(StreamMonitor);

impl Drop for DownOnDrop {
    fn drop(&mut self) {
        self.0.ended();
    }
}

const AFTER_CUT: Duration = Duration::from_secs(1);
const FAILURE_AFTER_CUT: Duration = Duration::from_secs(2);
/// A stream that was open for less is of no use.
const MOMENT: Duration = Duration::from_secs(1);
/// No middlebox limits the age of streams to less. The age of a stream that never received
/// anything is zero.
const SHORTEST_CUT_AGE: Duration = Duration::from_secs(3);
/// The wait for the answer to a close frame: two pings of the relay proxy.
const CLOSING: Duration = Duration::from_secs(2);

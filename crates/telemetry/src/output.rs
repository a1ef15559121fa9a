//! Standard output: requests leave their lines in a buffer, and a thread writes it.
//!
//! Lines that come close together are written together. A thread that is woken for each line costs more than the line
//! itself: two switches and a system call, which the request pays in part.

use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that wait at most: whoever does not read them holds up nobody, and loses lines.
const MAX_WAITING: usize = 4 << 20;
/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(5);
/// How long the last lines may take.
const END: Duration = Duration::from_secs(1);

/// Takes lines, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something to write, or the end.
    wake: Condvar,
    /// The last line is written.
    ended: Condvar,
    /// Lines that found no place.
    dropped: AtomicU64,
    /// Lines that could not be written.
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread waits to be woken.
    idle: bool,
    ending: bool,
    ended: bool,
}

/// Writes the last lines when it is dropped.
#[derive(Debug)]
pub(crate) struct Flush(Arc<Shared>);

/// Starts the thread that writes to `out`.
///
/// # Errors
///
/// There can be no further thread.
pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<(Output, Flush)> {
    let shared = Arc::<Shared>::default();
    let of_thread = Arc::clone(&shared);
    thread::Builder::new().name("lines".to_owned()).spawn(move || of_thread.write(out))?;
    Ok((Output(Arc::clone(&shared)), Flush(shared)))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the end. What cannot be written is lost and counted.
    fn write(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        while self.next(&mut lines) {
            self.refused.fetch_add(write_lines(&mut out, &lines), Ordering::Relaxed);
        }
        self.state().ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines and takes all that have gathered; nothing where no more will come.
    fn next(&self, lines: &mut Vec<u8>) -> bool {
        let nothing = |state: &mut State| state.waiting.is_empty() && !state.ending;
        let mut state = self.state();
        if nothing(&mut state) {
            state.idle = true;
            state = self.wake.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
            state.idle = false;
        }
        // Nobody wakes it meanwhile, but the end.
        let gather = self.wake.wait_timeout_while(state, GATHER, |state| !state.ending);
        (state, _) = gather.unwrap_or_else(PoisonError::into_inner);
        lines.clear();
        // A burst does not stay in memory.
        lines.shrink_to(MAX_WAITING / 64);
        mem::swap(lines, &mut state.waiting);
        !lines.is_empty()
    }
}

/// Writes lines, and says how many of them are not written whole.
fn write_lines(out: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(written) if written > 0 => lines = &lines[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break,
        }
    }
    // What a buffer below holds is tried again with the next lines.
    let _ = out.flush();
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}

impl Output {
    /// How many lines found no place.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// How many lines could not be written: a full disk, a pipe that nobody holds any more.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Takes a line, whole or not at all.
    pub(crate) fn line(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.waiting.len() + line.len() > MAX_WAITING {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        if mem::take(&mut state.idle) {
            self.0.wake.notify_one();
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ending = true;
        self.0.wake.notify_one();
        drop(self.0.ended.wait_timeout_while(state, END, |state| !state.ended));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Sends on each batch; where it is told to, waits for leave first.
    struct Reader {
        to: Sender<Vec<u8>>,
        leave: Option<Receiver<()>>,
    }

    impl Write for Reader {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            if let Some(leave) = &self.leave {
                let _ = leave.recv();
            }
            let _ = self.to.send(lines.to_vec());
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_whole_and_in_order() {
        let (to, written) = channel();
        let (output, flush) = start(Reader { to, leave: None }).expect("a thread");
        let threads = [0, 1].map(|thread| {
            let output = output.clone();
            let write = move |n| output.line(format!("{thread} {n}\n").as_bytes());
            thread::spawn(move || (0..500).for_each(write))
        });
        for thread in threads {
            thread.join().expect("no panic");
        }
        drop(flush);
        let batches: Vec<_> = written.try_iter().collect();
        assert!(batches.len() < 100, "{} batches of 1,000 lines", batches.len());
        let text = String::from_utf8(batches.concat()).expect("text");
        for thread in ["0 ", "1 "] {
            let of_thread = text.lines().filter_map(|line| line.strip_prefix(thread));
            assert!(of_thread.eq((0..500).map(|n| n.to_string())), "{text}");
        }
    }

    /// Takes so many bytes, and then refuses.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            let taken = lines.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_refused_is_counted_by_the_line() {
        // Two lines and a half of the next.
        let (output, flush) = start(Full(5)).expect("a thread");
        for _ in 0..10 {
            output.line(b"1\n");
        }
        drop(flush);
        assert_eq!((output.refused(), output.dropped()), (8, 0));
    }

    #[test]
    fn who_does_not_read_loses_lines_and_is_not_waited_for() {
        let ((to, written), (go, leave)) = (channel(), channel());
        let (output, flush) = start(Reader { to, leave: Some(leave) }).expect("a thread");
        let line = vec![b'x'; 1 << 16];
        // One batch is on its way, and so much waits behind it.
        let fits = 2 * MAX_WAITING / line.len();
        for _ in 0..fits + 10 {
            output.line(&line);
        }
        assert!(output.dropped() >= 10, "{}", output.dropped());
        drop(go);
        drop(flush);
        let bytes: usize = written.try_iter().map(|lines| lines.len()).sum();
        assert_eq!(bytes + usize::try_from(output.dropped()).expect("few") * line.len(), (fits + 10) * line.len());
    }
}

//! Virtual time, seeded chance and the tasks of one thread: whatever happens, the same seed lets it happen again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use domain::Timestamp;
use domain::id::TenantId;

use crate::fault::{Faults, Harm};

/// Names a task of one run.
pub type TaskId = u64;

/// Microseconds of virtual time.
pub type Micros = i64;

/// One second.
pub const SECOND: Micros = 1_000_000;
/// One minute.
pub const MINUTE: Micros = 60 * SECOND;

/// A task's future.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is known of a task.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// What it does, for the story.
    pub name: &'static str,
    /// For whom it acts, where that is known from what it was given.
    pub tenant: Option<TenantId>,
    /// Whether it is one of the functions, rather than a person or a provider: only those are harmed.
    pub ours: bool,
    /// How far its clock is off.
    pub skew: Micros,
}

/// One call of a port, as the clockwork sees it.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    /// `table.transact` and the like.
    pub name: &'static str,
    /// Whether it changes something.
    pub writes: bool,
    /// Whether it changes something that other people see; such a call is sent within a remote timeout or not at all.
    pub outside: bool,
}

impl Op {
    /// A call that only reads.
    pub const fn read(name: &'static str) -> Self {
        Self { name, writes: false, outside: false }
    }

    /// A call that changes our own state.
    pub const fn write(name: &'static str) -> Self {
        Self { name, writes: true, outside: false }
    }

    /// A call that changes what other people see.
    pub const fn effect(name: &'static str) -> Self {
        Self { name, writes: true, outside: true }
    }
}

struct Inner {
    now: Micros,
    chance: fastrand::Rng,
    current: TaskId,
    dies: bool,
    calm: bool,
    next_task: TaskId,
    next_timer: u64,
    timers: BinaryHeap<Reverse<(Micros, u32, u64, TaskId)>>,
    who: BTreeMap<TaskId, Who>,
    spawned: Vec<(TaskId, Job)>,
    faults: Faults,
    digest: u64,
    story: Option<Vec<String>>,
}

/// The clockwork that everything of one run shares.
#[derive(Clone)]
pub struct Clockwork(Arc<Mutex<Inner>>);

impl Clockwork {
    /// A clockwork in which nothing happens by itself and nothing takes time: for contract suites.
    pub fn calm() -> Self {
        Self::new(0, Faults::none(), false, true)
    }

    /// A clockwork of a seed.
    pub fn seeded(seed: u64, faults: Faults, story: bool) -> Self {
        Self::new(seed, faults, story, false)
    }

    fn new(seed: u64, faults: Faults, story: bool, calm: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            // 2026-02-01T10:00:00Z
            now: 1_769_940_000 * SECOND,
            chance: fastrand::Rng::with_seed(seed),
            current: 0,
            dies: false,
            calm,
            next_task: 1,
            next_timer: 0,
            timers: BinaryHeap::new(),
            who: BTreeMap::new(),
            spawned: Vec::new(),
            faults,
            digest: seed,
            story: story.then(Vec::new),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True time, of which every function's clock may be off.
    pub fn now(&self) -> Micros {
        self.lock().now
    }

    /// True time as a timestamp.
    pub fn at(&self) -> Timestamp {
        stamp(self.now())
    }

    /// Puts time forward where nothing else does.
    pub fn forward(&self, by: Micros) {
        self.lock().now += by;
    }

    /// The task that runs.
    pub fn current(&self) -> TaskId {
        self.lock().current
    }

    /// Who the running task is.
    pub fn who(&self) -> Who {
        let inner = self.lock();
        inner.who.get(&inner.current).cloned().unwrap_or_default()
    }

    /// Says whether a task is still there.
    pub fn lives(&self, task: TaskId) -> bool {
        self.lock().who.contains_key(&task)
    }

    /// A number below a limit.
    pub fn below(&self, limit: u64) -> u64 {
        self.lock().chance.u64(..limit.max(1))
    }

    /// A number between two, both included.
    pub fn between(&self, low: Micros, high: Micros) -> Micros {
        self.lock().chance.i64(low..=high.max(low))
    }

    /// True so many times in a thousand.
    pub fn chance(&self, thousandth: u32) -> bool {
        self.lock().chance.u32(..1000) < thousandth
    }

    /// One of several.
    pub fn one_of<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of.get(at)
    }

    /// 128 random bits under the time, as identifiers have them.
    pub fn id(&self) -> String {
        let mut inner = self.lock();
        inner.next_timer += 1;
        let (time, count) = (inner.now / 1_000, inner.next_timer);
        let tail = inner.chance.u64(..);
        format!("{:012x}{:08x}{:012x}", time, count & 0xffff_ffff, tail >> 16)
    }

    /// Starts a task after a while.
    pub fn spawn(&self, who: Who, after: Micros, job: impl Future<Output = ()> + Send + 'static) -> TaskId {
        let mut inner = self.lock();
        let id = inner.next_task;
        inner.next_task += 1;
        let at = inner.now + after;
        inner.who.insert(id, who);
        inner.spawned.push((id, Box::pin(job)));
        inner.wake(id, at);
        id
    }

    /// Has a task polled at a time.
    pub fn wake(&self, task: TaskId, at: Micros) {
        self.lock().wake(task, at);
    }

    /// Comes back after a while of true time.
    pub fn sleep(&self, length: Micros) -> Until {
        Until { clockwork: self.clone(), at: None, length }
    }

    /// What is harmed and how much.
    pub fn faults<T>(&self, look: impl FnOnce(&mut Faults) -> T) -> T {
        look(&mut self.lock().faults)
    }

    /// Says whether things may go wrong by chance at the moment.
    pub fn wild(&self) -> bool {
        let inner = self.lock();
        inner.faults.on(inner.now)
    }

    /// Adds a line to the story, where one is told.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        let mut inner = self.lock();
        if inner.story.is_some() {
            let (now, task) = (inner.now, inner.current);
            let name = inner.who.get(&task).map_or("world", |who| who.name);
            let text = format!("{} {name}-{task}: {}", stamp(now), line());
            if let Some(story) = &mut inner.story {
                story.push(text);
            }
        }
    }

    /// Mixes something into the digest by which two runs are compared.
    pub fn mix(&self, value: u64) {
        self.lock().mix(value);
    }

    /// The digest of all that happened so far.
    pub fn digest(&self) -> u64 {
        self.lock().digest
    }

    /// The story so far.
    pub fn story(&self) -> Vec<String> {
        self.lock().story.clone().unwrap_or_default()
    }

    /// Makes one call of a port: time passes, harm may come before or after, the change is made once or not at all.
    pub async fn call<T>(&self, op: Op, apply: impl FnOnce() -> T) -> Result<T, Harm> {
        if self.lock().calm {
            return Ok(apply());
        }
        let (before, after, harm) = self.lock().plan(op);
        if before > 0 {
            self.sleep(before).await;
        }
        if harm == Harm::Crash {
            self.tell(|| format!("{} … and dies before", op.name));
            self.die().await;
        }
        if let Harm::Busy | Harm::Error | Harm::Unavailable | Harm::LostBefore = harm {
            self.tell(|| format!("{} → {harm:?}", op.name));
            return Err(harm);
        }
        self.tell(|| op.name.to_owned());
        let done = apply();
        if harm == Harm::CrashAfter {
            self.tell(|| format!("{} … and dies after", op.name));
            self.die().await;
        }
        if after > 0 {
            self.sleep(after).await;
        }
        if harm == Harm::LostAfter {
            self.tell(|| format!("{} was done, and nobody said so", op.name));
            return Err(harm);
        }
        Ok(done)
    }

    /// Ends the running task here and now.
    async fn die(&self) {
        self.lock().dies = true;
        std::future::pending::<()>().await;
    }
}

impl Inner {
    fn wake(&mut self, task: TaskId, at: Micros) {
        let tie = self.chance.u32(..);
        self.next_timer += 1;
        self.timers.push(Reverse((at.max(self.now), tie, self.next_timer, task)));
    }

    fn mix(&mut self, value: u64) {
        self.digest = (self.digest ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn plan(&mut self, op: Op) -> (Micros, Micros, Harm) {
        let who = self.who.get(&self.current);
        let ours = who.is_some_and(|who| who.ours);
        let (before, after, harm) = self.faults.plan(&mut self.chance, ours, op, self.now);
        if let Some((_, task)) = self.faults.alarm.take_if(|(call, _)| *call < self.faults.calls) {
            self.wake(task, self.now);
        }
        let place = self.now.unsigned_abs().wrapping_add(self.current << 40).wrapping_add(op.name.len() as u64);
        self.mix(place ^ ((harm as u64) << 56));
        (before, after, harm)
    }
}

/// Comes back at a time.
pub struct Until {
    clockwork: Clockwork,
    at: Option<Micros>,
    length: Micros,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let clockwork = self.clockwork.clone();
        let mut inner = clockwork.lock();
        if inner.calm {
            inner.now += self.length;
            return Poll::Ready(());
        }
        let Some(at) = self.at else {
            let (at, task) = (inner.now + self.length, inner.current);
            inner.wake(task, at);
            self.at = Some(at);
            return Poll::Pending;
        };
        if inner.now >= at { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What runs the tasks of a clockwork.
pub struct Runner {
    clockwork: Clockwork,
    tasks: BTreeMap<TaskId, Job>,
}

impl Runner {
    /// Runs nothing yet.
    pub fn new(clockwork: Clockwork) -> Self {
        Self { clockwork, tasks: BTreeMap::new() }
    }

    /// Takes the next step unless it would be later than a time; says whether there was one.
    pub fn step(&mut self, until: Micros) -> bool {
        let task = {
            let mut inner = self.clockwork.lock();
            for (id, job) in std::mem::take(&mut inner.spawned) {
                self.tasks.insert(id, job);
            }
            loop {
                let Some(Reverse((at, ..))) = inner.timers.peek() else {
                    return false;
                };
                if *at > until {
                    return false;
                }
                let Some(Reverse((at, _, _, task))) = inner.timers.pop() else {
                    return false;
                };
                if self.tasks.contains_key(&task) {
                    inner.now = inner.now.max(at);
                    inner.current = task;
                    break task;
                }
            }
        };
        let Some(job) = self.tasks.get_mut(&task) else {
            return true;
        };
        let over = job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let mut inner = self.clockwork.lock();
        let dies = std::mem::take(&mut inner.dies);
        if over || dies {
            inner.who.remove(&task);
        }
        drop(inner);
        if over || dies {
            self.tasks.remove(&task);
        }
        true
    }
}

/// A time as a timestamp.
pub fn stamp(at: Micros) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or_default()
}

//! One system: the real functions on simulated ports, each message in a task of its own.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use domain::id::TenantId;
use engine::message::{DeliveryMessage, INTAKE, MODEL, NOTIFY, QUEUES, Source};
use engine::port::{
    Blobs, Clock, Commits, Delivered, Forge, Model, Queue, Secret, Snapshots, Table, Tracker, Workspace,
};
use engine::seal::Sealer;
use engine::{Disposition, Engine};
use serde_json::Value;
use webhooks::{Receiver, SecretCache};

use crate::clockwork::{Clockwork, MINUTE, Micros, SECOND, Who};
use crate::mutant::Mutant;
use crate::port::{
    SimBlobs, SimClock, SimForge, SimIds, SimModel, SimQueue, SimSecrets, SimSource, SimTable, SimTracker, SkewedClock,
};
use crate::scene::Scene;
use crate::watch::{CANARIES, Watch};

/// The name people mention.
pub const HANDLE: &str = "prfactory";
/// The label that starts work.
pub const LABEL: &str = "prfactory";
/// How long a message is hidden while it is handled.
const VISIBILITY: Micros = 3 * MINUTE;

/// Everything of one run.
pub struct World {
    /// Time, chance and tasks.
    pub clockwork: Clockwork,
    /// The invariants.
    pub watch: Arc<Watch>,
    /// State.
    pub table: Arc<SimTable>,
    /// Messages.
    pub queue: Arc<SimQueue>,
    /// Large payloads.
    pub blobs: Arc<SimBlobs>,
    /// Repositories.
    pub source: Arc<SimSource>,
    /// Pull requests.
    pub forge: Arc<SimForge>,
    /// Comments.
    pub tracker: Arc<SimTracker>,
    /// The model.
    pub model: Arc<SimModel>,
    /// Seals and opens messages.
    pub sealer: Arc<Sealer>,
    /// Secrets of the webhooks.
    pub secrets: Arc<SimSecrets>,
    /// What is wrong with the engine, if it is to be.
    pub mutant: Option<Mutant>,
    /// How many messages of a queue are handled at once.
    pub hands: usize,
    /// How many turns of one tenant run at once.
    pub slots: usize,
    /// How far clocks may be off.
    pub skew: Micros,
    busy: BTreeMap<&'static str, AtomicUsize>,
}

/// Counts a hand free again, however its task ended.
struct Hand {
    world: Arc<World>,
    queue: &'static str,
}

impl Drop for Hand {
    fn drop(&mut self) {
        if let Some(busy) = self.world.busy.get(self.queue) {
            busy.fetch_sub(1, Ordering::Relaxed);
        }
        self.world.queue.look(self.queue);
    }
}

impl World {
    /// Puts a world together.
    pub fn new(clockwork: &Clockwork, scene: &Scene, mutant: Option<Mutant>) -> Arc<Self> {
        let watch = Arc::new(Watch::new(clockwork.clone()));
        let table = Arc::new(SimTable::new(clockwork.clone(), Arc::clone(&watch)));
        let blobs = Arc::new(SimBlobs::new(clockwork.clone(), Arc::clone(&watch)));
        watch.looks_at(&table, &blobs);
        let live = BTreeMap::from([
            ("endpoint-master", vec![CANARIES[2].as_bytes()]),
            ("github-webhook", vec![CANARIES[1].as_bytes()]),
        ]);
        let careless = mutant == Some(Mutant::OpensWithoutLooking);
        Arc::new(Self {
            queue: Arc::new(SimQueue::new(clockwork.clone())),
            source: Arc::new(SimSource::new(clockwork.clone(), Arc::clone(&watch), Arc::clone(&blobs))),
            forge: Arc::new(SimForge::new(clockwork.clone(), Arc::clone(&watch), careless)),
            tracker: Arc::new(SimTracker::new(clockwork.clone(), Arc::clone(&watch))),
            model: Arc::new(SimModel::new(clockwork.clone(), Arc::clone(&watch), scene.mood, scene.cost)),
            sealer: Arc::new(Sealer::new(vec![Secret::new(CANARIES[0].as_bytes())])),
            secrets: Arc::new(SimSecrets { clockwork: clockwork.clone(), live }),
            clockwork: clockwork.clone(),
            mutant,
            hands: scene.hands,
            slots: scene.slots,
            skew: scene.skew,
            busy: QUEUES.iter().map(|queue| (*queue, AtomicUsize::new(0))).collect(),
            watch,
            table,
            blobs,
        })
    }

    /// The ports of one function instance, with a clock of its own.
    pub fn engine(&self, skew: Micros) -> Engine {
        let table: Arc<dyn Table> = match self.mutant {
            Some(mutant) => mutant.table(Arc::clone(&self.table), &self.clockwork),
            None => Arc::clone(&self.table) as _,
        };
        Engine {
            table,
            queue: Arc::clone(&self.queue) as Arc<dyn Queue>,
            blobs: Arc::clone(&self.blobs) as Arc<dyn Blobs>,
            clock: Arc::new(SkewedClock { clockwork: self.clockwork.clone(), skew }),
            ids: Arc::new(SimIds(self.clockwork.clone())),
            sealer: Arc::clone(&self.sealer),
            slots: Some(self.slots),
            model: None,
        }
    }

    /// What a webhook function may touch.
    pub fn receiver(&self) -> Receiver {
        let clock: Arc<dyn Clock> = Arc::new(SimClock(self.clockwork.clone()));
        let secrets = Arc::new(SecretCache::new(Arc::clone(&self.secrets) as _, Arc::clone(&clock)));
        Receiver { queue: Arc::clone(&self.queue) as _, sealer: Arc::clone(&self.sealer), secrets, clock }
    }

    fn skewed(&self) -> Micros {
        self.clockwork.between(-self.skew, self.skew)
    }

    /// Starts what hands messages to functions, and the timer.
    pub fn start(self: &Arc<Self>) {
        for queue in QUEUES {
            let world = Arc::clone(self);
            let who = Who { name: "pump", ..Who::default() };
            let task = self.clockwork.spawn(who, 0, async move { world.pump(queue).await });
            self.queue.bell(queue, task);
        }
        let world = Arc::clone(self);
        self.clockwork.spawn(Who { name: "timer", ..Who::default() }, MINUTE, async move { world.timer().await });
    }

    async fn pump(self: Arc<Self>, queue: &'static str) {
        let mut armed = Micros::MIN;
        loop {
            let busy = self.busy.get(queue).map_or(0, |busy| busy.load(Ordering::Relaxed));
            let free = self.hands.saturating_sub(busy);
            for delivered in self.queue.take(queue, free.min(10), VISIBILITY) {
                self.hand_over(queue, delivered);
            }
            let now = self.clockwork.now();
            if let Some(next) = self.queue.next_visible(queue)
                && next > now
                && (armed <= now || next < armed)
            {
                armed = next;
                self.clockwork.wake(self.clockwork.current(), next);
            }
            Woken(false).await;
        }
    }

    fn hand_over(self: &Arc<Self>, queue: &'static str, message: Delivered) {
        let tenant = self.tenant_of(queue, &message.body);
        if let Some(busy) = self.busy.get(queue) {
            busy.fetch_add(1, Ordering::Relaxed);
        }
        let hand = Hand { world: Arc::clone(self), queue };
        let (world, skew) = (Arc::clone(self), self.skewed());
        let who = Who { name: queue, tenant, ours: true, skew };
        self.clockwork.spawn(who, 0, async move {
            let _hand = hand;
            world.handle(queue, message, skew).await;
        });
    }

    /// The tenant a message is for, read without the code under test.
    fn tenant_of(&self, queue: &str, body: &str) -> Option<TenantId> {
        let wire: Value = serde_json::from_str(body).ok()?;
        if queue != INTAKE {
            return TenantId::parse(wire.get("tenant")?.as_str()?).ok();
        }
        let delivery = self.sealer.open::<DeliveryMessage>(INTAKE, body).ok()?;
        match delivery.body.source {
            Source::Jira { endpoint, .. } => crate::scene::tenant_of_endpoint(endpoint.as_str()),
            Source::Github => {
                let body = webhooks::unpack(&delivery.body.body).ok()?;
                let body: Value = serde_json::from_slice(&body).ok()?;
                crate::scene::tenant_of_installation(body.get("installation")?.get("id")?.as_u64()?)
            }
            Source::Cli { .. } => None,
        }
    }

    async fn handle(self: &Arc<Self>, queue: &'static str, message: Delivered, skew: Micros) {
        let receipt = message.receipt.clone();
        let engine = self.engine(skew);
        if self.mutant == Some(Mutant::AcksFirst) {
            // An error here means that the message comes again, which a real worker would not notice either.
            let _ = self.queue.ack(queue, &receipt).await;
        }
        let body = match self.mutant {
            Some(mutant) => mutant.body(self, queue, message.body),
            None => message.body,
        };
        let disposition = self.run(queue, engine, &body).await;
        let done = match disposition {
            Disposition::Ack => self.queue.ack(queue, &receipt).await,
            Disposition::Retry { after } if self.mutant == Some(Mutant::AcksWhatItLost) && after <= 2 => {
                self.queue.ack(queue, &receipt).await
            }
            Disposition::Retry { after } => {
                let after = std::time::Duration::from_secs(u64::from(after));
                self.queue.hide(queue, &receipt, after).await
            }
        };
        if let Err(failure) = done {
            self.clockwork.tell(|| format!("{queue} could not acknowledge: {failure}"));
        }
    }

    /// The function of a queue.
    async fn run(self: &Arc<Self>, queue: &str, engine: Engine, body: &str) -> Disposition {
        let workspace = Arc::clone(&self.source) as Arc<dyn Workspace>;
        match queue {
            INTAKE => {
                let function = intake::Intake {
                    engine,
                    handle: HANDLE.to_owned(),
                    label: LABEL.to_owned(),
                    forge: Arc::clone(&self.forge) as _,
                    tracker: Arc::clone(&self.tracker) as _,
                };
                Box::pin(intake::handle(&function, body)).await
            }
            MODEL => {
                let function = model::Model { engine, model: Arc::clone(&self.model) as Arc<dyn Model> };
                Box::pin(model::handle(&function, body)).await
            }
            NOTIFY => {
                let tracker: Arc<dyn Tracker> = match self.mutant {
                    Some(mutant) => mutant.tracker(Arc::clone(&self.tracker)),
                    None => Arc::clone(&self.tracker) as _,
                };
                let function = notify::Notify {
                    engine,
                    tracker,
                    forge: Arc::clone(&self.forge) as _,
                    workspace,
                    handle: HANDLE.to_owned(),
                };
                Box::pin(notify::handle(&function, body)).await
            }
            "snapshot" => {
                let snapshots = Arc::clone(&self.source) as Arc<dyn Snapshots>;
                Box::pin(snapshot::handle(&snapshot::Snapshot { engine, snapshots, workspace }, body)).await
            }
            "analyze" => Box::pin(analyze::handle(&analyze::Analyze { engine, workspace }, body)).await,
            "refine" => Box::pin(refine::handle(&refine::Refine { engine, workspace }, body)).await,
            "plan" => Box::pin(plan::handle(&plan::Plan { engine, workspace }, body)).await,
            "implement" => Box::pin(implement::handle(&implement::Implement { engine, workspace }, body)).await,
            "review" => Box::pin(review::handle(&review::Review { engine, workspace }, body)).await,
            "revise" => Box::pin(revise::handle(&revise::Revise { engine, workspace }, body)).await,
            "publish" => {
                let commits = Arc::clone(&self.source) as Arc<dyn Commits>;
                let forge = Arc::clone(&self.forge) as Arc<dyn Forge>;
                Box::pin(publish::handle(&publish::Publish { engine, workspace, commits, forge }, body)).await
            }
            _ => Disposition::Ack,
        }
    }

    /// Sweeps every minute in which there is something to sweep.
    async fn timer(self: Arc<Self>) {
        loop {
            let now = self.clockwork.now();
            let due = self.table.next_due().is_some_and(|due| due <= now + 10 * SECOND);
            if due || self.table.lagging() || self.queue.any_dead() {
                let (world, skew) = (Arc::clone(&self), self.skewed());
                let who = Who { name: "sweep", tenant: None, ours: true, skew };
                self.clockwork.spawn(who, 0, async move {
                    let engine = world.engine(skew);
                    if let Err(failure) = Box::pin(sweep::handle(&engine)).await {
                        world.clockwork.tell(|| format!("sweeping failed: {failure}"));
                    }
                });
            }
            self.clockwork.sleep(MINUTE).await;
        }
    }
}

/// Pending once; whatever wakes the task ends it.
pub(crate) struct Woken(pub(crate) bool);

impl Future for Woken {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        Poll::Pending
    }
}

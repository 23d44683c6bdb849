//! Accepts connections: many at a time, none for ever, and no more than the machine can hold.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

/// Connections at the same time; more wait in the system's own queue until one ends.
const MAX_CONNECTIONS: usize = 4_096;
/// How long a sender may take for the head of a request, and how long an idle connection stays open.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head of a request.
const MAX_HEAD: usize = 64 * 1024;
/// How long deliveries that are under way may take after a stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when the system has no file left for another connection.
const BREATH: Duration = Duration::from_millis(50);

/// Serves until told to stop, then lets what is under way finish.
pub(crate) async fn serve(listener: TcpListener, app: Router, mut stopped: oneshot::Receiver<()>) {
    let gate = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let permit = Arc::clone(&gate).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            // Either a stop was asked for or the server was dropped.
            _ = &mut stopped => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            // A sender that breaks off or is too slow has only itself to answer for.
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection ended early");
            }
        });
    }
    // Whoever has not finished by then sends again.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

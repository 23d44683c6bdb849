//! The entry point of a function's library with its ports, as one value.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What handles one message, or one request.
pub type Handler<I, O> = Arc<dyn Fn(I) -> Pin<Box<dyn Future<Output = O> + Send>> + Send + Sync>;

/// Binds a function's entry point to its ports.
pub fn handler<F, H, R, I, O>(function: F, handle: H) -> Handler<I, O>
where
    F: Clone + Send + Sync + 'static,
    H: Fn(F, I) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = O> + Send + 'static,
    I: Send + 'static,
{
    Arc::new(move |input| {
        let (function, handle) = (function.clone(), handle.clone());
        Box::pin(async move { handle(function, input).await })
    })
}

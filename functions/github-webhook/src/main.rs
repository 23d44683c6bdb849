//! `github-webhook` on AWS Lambda: may send to one queue and read one secret.

use std::process::ExitCode;

use lambda::{Arn, Ingress, Prefix, handler, receive};

lambda::config! {
    queues: Prefix = "QUEUE_PREFIX",
    secret: Arn = "GITHUB_SECRET_ARN",
}

fn main() -> ExitCode {
    let ingress = || {
        let Config { queues, secret } = Config::from_env()?;
        Ok(Ingress { queues, secret, webhook: "github-webhook", sealing: "github-sealing-key" })
    };
    receive(ingress, handler((), async |(), (receiver, request)| github_webhook::handle(&receiver, &request).await))
}

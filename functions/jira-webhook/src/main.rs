//! `jira-webhook` on AWS Lambda: may send to one queue and read one secret.

use std::process::ExitCode;

use lambda::{Arn, Ingress, Prefix, handler, receive};

lambda::config! {
    queues: Prefix = "QUEUE_PREFIX",
    secret: Arn = "JIRA_SECRET_ARN",
}

fn main() -> ExitCode {
    let ingress = || {
        let Config { queues, secret } = Config::from_env()?;
        Ok(Ingress { queues, secret, webhook: "endpoint-master", sealing: "jira-sealing-key" })
    };
    receive(ingress, handler((), async |(), (receiver, request)| jira_webhook::handle(&receiver, &request).await))
}

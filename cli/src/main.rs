//! `foretell`: train and serve churn, lifetime value, conversion, demand and revenue models from files.

mod arguments;
mod changes;
mod data;
mod demo;
#[cfg(feature = "kafka")]
mod kafka;
mod online;
mod output;
mod project;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Verb};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    output::start_logging(arguments.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&anyhow::anyhow!("cannot start the runtime: {error}"), arguments.json),
    };
    let json = arguments.json;
    let said = runtime.block_on(run(arguments));
    // What still runs is safe to cut off; a consumer that closes against a broker that is gone would wait for minutes.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    match said {
        Ok(code) => code,
        Err(error) => output::fail(&error, json),
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let common = arguments.common();
    match arguments.verb {
        Verb::Demo(verb) => verbs::demo::run(&common, verb).await,
        Verb::Init(verb) => verbs::init::run(&common, &verb),
        Verb::Check => verbs::check::run(&common).await,
        Verb::Doctor => verbs::doctor::run(&common).await,
        Verb::Features(verb) => verbs::features::run(&common, verb).await,
        Verb::Train(verb) => verbs::train::run(&common, verb).await,
        Verb::Models(verb) => verbs::models::run(&common, verb).await,
        Verb::Predict(verb) => verbs::predict::run(&common, verb).await,
        Verb::Serve(verb) => verbs::serve::run(&common, verb).await,
        Verb::Registry(verb) => verbs::registry::run(&common, &verb).await,
        Verb::Access(verb) => verbs::access::run(&common, &verb),
    }
}

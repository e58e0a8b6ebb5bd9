//! Lists monitors with Datadog's API client for Rust, as often as the argument says, with tokens of
//! `dd-oauth`: what a caller does by protocol.md, section 15, and nothing more.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};

use datadog_api_client::datadog::{self, Configuration};
use datadog_api_client::datadogV1::api_monitors::{ListMonitorsOptionalParams, MonitorsAPI};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

type Answer = HashMap<String, String>;

/// Runs the helper with a request, and reads its answer.
fn ask(request: &str) -> Result<Answer, Box<dyn Error>> {
    let mut helper =
        Command::new("dd-oauth").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    helper.stdin.take().ok_or("no standard input")?.write_all(request.as_bytes())?;
    let output = helper.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("dd-oauth: {}", output.status).into());
    }
    let lines = String::from_utf8(output.stdout)?;
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.into(), value.into())).collect())
}

/// The client takes no token: it goes in through the HTTP client that it is given.
fn api(answer: &Answer) -> Result<MonitorsAPI, Box<dyn Error>> {
    let mut authorization = HeaderValue::from_str(&format!("Bearer {}", answer["access_token"]))?;
    authorization.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    let http = reqwest_middleware::ClientBuilder::new(http).build();
    let mut configuration = Configuration::new();
    // The second of its servers is "{protocol}://{name}".
    configuration.server_index = 1;
    let (protocol, name) = answer["api_url"].split_once("://").ok_or("no URL")?;
    configuration.server_variables =
        HashMap::from([("protocol".into(), protocol.into()), ("name".into(), name.into())]);
    Ok(MonitorsAPI::with_client_and_config(configuration, http))
}

/// Makes one request, and once more with another token where the first was rejected.
async fn list_monitors(answer: &mut Answer) -> Result<(), Box<dyn Error>> {
    let once = async |answer: &Answer| {
        let listed = api(answer)?.list_monitors(ListMonitorsOptionalParams::default()).await;
        match listed {
            Ok(_) => Ok(true),
            Err(datadog::Error::ResponseError(error)) if error.status == 401 => Ok(false),
            Err(error) => Err(Box::<dyn Error>::from(error.to_string())),
        }
    };
    if once(answer).await? {
        return Ok(());
    }
    let rejected = &answer["access_token"];
    ask(&format!("erase\nsite={}\naccess_token={rejected}\n", answer["site"]))?;
    *answer = ask("get\n")?;
    if once(answer).await? { Ok(()) } else { Err("rejected twice".into()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let times = std::env::args().nth(1).ok_or("say how often")?.parse::<u32>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut answer = ask("get\n")?;
    for _ in 0..times {
        runtime.block_on(list_monitors(&mut answer))?;
    }
    Ok(())
}

//! Programs that call dd-oauth: git, docker, Terraform, Datadog's API clients, and what `contrib/`
//! offers. A test belongs here if it runs such a program as it is.

mod api_clients;
mod conformance;
mod contrib;
mod contrib_builds;
mod docker;
mod git;
mod rclone;
mod terraform;

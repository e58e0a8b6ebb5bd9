//! Programs that get a token from their environment: `exec`, `exec --live` and `env`.

mod env;
mod live;
mod program;

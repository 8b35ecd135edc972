//! What every route is given.

use crate::Shared;
use std::sync::Arc;
use tokio::sync::watch;

/// What routes need.
#[derive(Clone)]
pub struct Routes {
    pub shared: Arc<Shared>,
    pub stop: watch::Receiver<bool>,
}

//! The Helm chart, rendered for each service and each switch: what reaches a cluster is safe, and fits the binaries.

mod edges;
mod pods;
mod render;
mod settings;

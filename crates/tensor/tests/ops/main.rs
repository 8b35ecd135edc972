//! Every operation against its composition from plain tensor operations in double precision, and
//! that composition against finite differences.

#![allow(clippy::unwrap_used)] // The helpers of tests may fail like tests.

mod common;

mod activation;
mod attention;
mod batch_norm;
mod contrastive;
mod conv;
mod ctc;
mod golden;
mod graph;
mod independence;
mod layouts;
mod linear;
mod mmi;
mod optimizer;
mod products;
mod rows;
mod sizes;

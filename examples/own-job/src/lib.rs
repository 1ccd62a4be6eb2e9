//! A job as somebody outside of Seawall writes it: sums up the orders of each customer.
//!
//! It comes with two operators. [`Careful`] is right. [`Batching`] has a bug that no ordinary test shows,
//! and on purpose: `tests/storm.rs` finds it.

use std::collections::BTreeMap;
use std::path::Path;

use seawall::prelude::*;

/// A customer and an amount.
pub type Order = (String, u64);

/// Reads lines `customer,amount`, and writes one line `customer,total` for each customer at the end.
pub fn order_totals<S: Sum>(sum: S, input: &Path, output: &Path, parallelism: u32) -> Job {
    let builder = JobBuilder::new("order-totals", parallelism);
    builder
        .source("lines", FileSource::new(input))
        .map("parse", |line: String| parse(&line))
        .key_by(|(customer, _): &Order| customer.clone())
        .process("sum", sum)
        .sink("totals", FileSink::new(output, write_total));
    builder.build()
}

/// An operator that sums up amounts by customer.
pub trait Sum: KeyedProcess<Key = String, In = Order, Out = Order> {}

/// Adds each amount to the state of its customer.
#[derive(Clone)]
pub struct Careful;

impl Sum for Careful {}

impl KeyedProcess for Careful {
    type Key = String;
    type In = Order;
    type State = u64;
    type Out = Order;

    fn on_record(
        &mut self,
        _: &String,
        (_, amount): Order,
        total: &mut Option<u64>,
        _: &mut impl Collect<Order>,
    ) {
        *total = Some(total.unwrap_or(0) + amount);
    }

    fn on_end(&mut self, customer: &String, total: &u64, out: &mut impl Collect<Order>) {
        out.push((customer.clone(), *total));
    }
}

/// Touches the state only with every fourth order of a customer, which may well be faster.
///
/// **The bug**: what waits is in a field of the operator, and a field is in no checkpoint. After a failure
/// the source goes on behind records that the checkpoint covers, and up to three orders of each customer are
/// gone. Without a failure the totals are right, whatever the input is.
#[derive(Clone, Default)]
pub struct Batching {
    /// How many orders of a customer wait, and their sum.
    waiting: BTreeMap<String, (u32, u64)>,
}

const BATCH: u32 = 4;

impl Sum for Batching {}

impl KeyedProcess for Batching {
    type Key = String;
    type In = Order;
    type State = u64;
    type Out = Order;

    fn on_record(
        &mut self,
        customer: &String,
        (_, amount): Order,
        total: &mut Option<u64>,
        _: &mut impl Collect<Order>,
    ) {
        let total = total.get_or_insert(0);
        let (count, sum) = self.waiting.entry(customer.clone()).or_default();
        *count += 1;
        *sum += amount;
        if *count == BATCH {
            *total += *sum;
            self.waiting.remove(customer);
        }
    }

    fn on_end(&mut self, customer: &String, total: &u64, out: &mut impl Collect<Order>) {
        let (_, waiting) = self.waiting.remove(customer).unwrap_or_default();
        out.push((customer.clone(), *total + waiting));
    }
}

/// A line `customer,amount`; an amount that is no number counts as nothing.
fn parse(line: &str) -> Order {
    let (customer, amount) = line.split_once(',').unwrap_or((line, ""));
    (customer.to_owned(), amount.parse().unwrap_or(0))
}

fn write_total((customer, total): &Order, line: &mut Vec<u8>) {
    line.extend_from_slice(format!("{customer},{total}\n").as_bytes());
}

//! Python's pickle format as a stack machine without any power.
//!
//! Opcodes from the public description in Python's standard library (`pickletools`); those that
//! PyTorch has ever written are understood, others are errors. Objects live in one list and refer
//! to each other by position, so no input makes the machine recurse. A few opcodes can ask for copies of what many
//! have made (a dictionary of the same list, again and again), so everything that is made is charged to a budget.

use super::{Kind, Storage, View};
use auricle_io::Budget;
use std::collections::HashMap;
use std::io::Read;

/// Opcodes of the largest model of the field are a few hundred thousand.
const MAX_NODES: usize = 8_000_000;
/// Longest string: keys and names are short.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Most sizes of a tensor.
const MAX_RANK: usize = 64;
/// Bytes of an entry of the memo, with the room that a hash map keeps free.
const MEMO_BYTES: u64 = 48;

/// Position of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A Python object that is nothing here.
    Inert,
    Integer(i64),
    Text(String),
    /// Lists and tuples.
    Sequence(Vec<NodeId>),
    Dict(Vec<(NodeId, NodeId)>),
    /// `module name` of a function or class, never called.
    Global(String),
    Storage(Storage),
    Tensor(View),
}

/// The stack machine and all objects it made.
#[derive(Debug)]
pub(super) struct Machine {
    nodes: Vec<Node>,
    budget: Budget,
}

/// The state of one program.
#[derive(Default)]
struct State {
    stack: Vec<NodeId>,
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
}

impl State {
    fn pop(&mut self) -> Result<NodeId, String> {
        let above_mark = self.marks.last().is_none_or(|&mark| self.stack.len() > mark);
        self.stack.pop().filter(|_| above_mark).ok_or_else(|| "the pickle takes from an empty stack".into())
    }

    fn pop_mark(&mut self) -> Result<Vec<NodeId>, String> {
        let mark = self.marks.pop().ok_or("the pickle lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<NodeId, String> {
        self.stack.last().copied().ok_or_else(|| "the pickle looks at an empty stack".into())
    }
}

impl Machine {
    /// A machine that makes objects within a budget.
    pub fn new(budget: Budget) -> Self {
        Self { nodes: Vec::new(), budget }
    }

    /// Charges so many references, or what is as large; vectors grow by doubling.
    fn charge(&mut self, references: usize) -> Result<(), String> {
        self.charge_bytes((references as u64).saturating_mul(2 * size_of::<NodeId>() as u64))
    }

    fn charge_bytes(&mut self, bytes: u64) -> Result<(), String> {
        self.budget.charge(bytes).map_err(|error| error.to_string())
    }

    /// An object.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// All objects.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    fn add(&mut self, node: Node) -> Result<NodeId, String> {
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("the pickle has more than {MAX_NODES} objects"));
        }
        self.charge_bytes(2 * size_of::<Node>() as u64)?;
        self.nodes.push(node);
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Runs one pickle up to its end; the object on top.
    pub fn run(&mut self, input: &mut impl Read) -> Result<NodeId, String> {
        let mut state = State::default();
        loop {
            let opcode = byte(input)?;
            if opcode == b'.' {
                return state.pop();
            }
            // Most opcodes put something on the stack, or remember where it is.
            self.charge(1)?;
            self.step(opcode, &mut state, input)?;
        }
    }

    fn step(&mut self, opcode: u8, state: &mut State, input: &mut impl Read) -> Result<(), String> {
        let made = match opcode {
            // Protocol and frames: nothing to do.
            0x80 => return byte(input).map(drop),
            0x95 => return bytes::<8>(input).map(drop),
            // Constants.
            b'N' | 0x88 | 0x89 => Node::Inert,
            b'K' => Node::Integer(byte(input)?.into()),
            b'M' => Node::Integer(u16::from_le_bytes(bytes(input)?).into()),
            b'J' => Node::Integer(i32::from_le_bytes(bytes(input)?).into()),
            0x8a => {
                let length = usize::from(byte(input)?);
                Node::Integer(long(&self.blob(input, length)?))
            }
            b'G' => {
                bytes::<8>(input)?;
                Node::Inert
            }
            b'U' | b'C' | 0x8c => {
                let length = usize::from(byte(input)?);
                self.text(input, length)?
            }
            b'X' | b'T' | b'B' => {
                let length = u32::from_le_bytes(bytes(input)?) as usize;
                self.text(input, length)?
            }
            // Containers.
            b')' | b']' | 0x8f => Node::Sequence(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b't' | 0x91 => {
                let items = state.pop_mark()?;
                self.charge(items.len())?;
                Node::Sequence(items)
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let mut items = (0..count).map(|_| state.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.charge(count)?;
                Node::Sequence(items)
            }
            b'a' => {
                let item = state.pop()?;
                return self.extend(state.top()?, &[item]);
            }
            b'e' | 0x90 => {
                let items = state.pop_mark()?;
                return self.extend(state.top()?, &items);
            }
            b's' => {
                let (value, key) = (state.pop()?, state.pop()?);
                return self.extend(state.top()?, &[key, value]);
            }
            b'u' => {
                let items = state.pop_mark()?;
                return self.extend(state.top()?, &items);
            }
            // The stack and the memo.
            b'(' => {
                state.marks.push(state.stack.len());
                return Ok(());
            }
            b'0' => return state.pop().map(drop),
            b'1' => return state.pop_mark().map(drop),
            b'2' => {
                let top = state.top()?;
                state.stack.push(top);
                return Ok(());
            }
            b'q' => return self.remember(state, byte(input)?.into()),
            b'r' => return self.remember(state, u32::from_le_bytes(bytes(input)?)),
            0x94 => return self.remember(state, state.memo.len() as u32),
            b'h' => return recall(state, byte(input)?.into()),
            b'j' => return recall(state, u32::from_le_bytes(bytes(input)?)),
            // What would import, call or change Python objects.
            b'c' => {
                let (module, name) = (self.line(input)?, self.line(input)?);
                Node::Global(format!("{module} {name}"))
            }
            0x93 => {
                let (name, module) = (state.pop()?, state.pop()?);
                match (self.node(module), self.node(name)) {
                    (Node::Text(module), Node::Text(name)) if module.len() + name.len() <= MAX_NAME_BYTES => {
                        let name = format!("{module} {name}");
                        self.charge_bytes(name.len() as u64)?;
                        Node::Global(name)
                    }
                    _ => Node::Inert,
                }
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (state.pop()?, state.pop()?);
                if let Some(id) = self.rebuilt_parameter(callee, arguments) {
                    state.stack.push(id);
                    return Ok(());
                }
                self.call(callee, arguments)?
            }
            0x92 => {
                let (_, _, _) = (state.pop()?, state.pop()?, state.pop()?);
                Node::Inert
            }
            b'b' => return state.pop().map(drop),
            b'Q' => {
                let id = state.pop()?;
                self.persistent(id)?
            }
            other => return Err(format!("pickle opcode {other:#04x} is none that PyTorch writes")),
        };
        let id = self.add(made)?;
        state.stack.push(id);
        Ok(())
    }

    fn remember(&mut self, state: &mut State, slot: u32) -> Result<(), String> {
        let top = state.top()?;
        if state.memo.insert(slot, top).is_none() {
            self.charge_bytes(MEMO_BYTES)?;
        }
        Ok(())
    }

    /// Puts items into a container; other objects take them without effect.
    fn extend(&mut self, container: NodeId, items: &[NodeId]) -> Result<(), String> {
        self.charge(items.len())?;
        match &mut self.nodes[container.0] {
            Node::Sequence(sequence) => sequence.extend_from_slice(items),
            Node::Dict(entries) => {
                let (pairs, rest) = items.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err("the pickle has a key without a value".into());
                }
                entries.extend(pairs.iter().map(|pair| (pair[0], pair[1])));
            }
            _ => {}
        }
        Ok(())
    }

    /// What calling a known function gives; an inert object for every other.
    fn call(&mut self, callee: NodeId, arguments: NodeId) -> Result<Node, String> {
        let (Node::Global(name), Node::Sequence(arguments)) = (self.node(callee), self.node(arguments))
        else {
            return Ok(Node::Inert);
        };
        let made = match name.as_str() {
            "collections OrderedDict" => {
                let count = self.items(arguments.first()).len();
                let first = arguments.first().copied();
                self.charge(2 * count)?;
                Node::Dict(self.pairs(first))
            }
            "torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor" => {
                let tensor = self.tensor(arguments)?;
                if let Node::Tensor(View { storage, shape, strides, .. }) = &tensor {
                    let bytes = storage.key.len() + 8 * (shape.len() + strides.len());
                    self.charge_bytes(bytes as u64)?;
                }
                tensor
            }
            _ => Node::Inert,
        };
        Ok(made)
    }

    /// The items of a list or tuple; none of everything else.
    fn items(&self, id: Option<&NodeId>) -> &[NodeId] {
        match id.map(|&id| self.node(id)) {
            Some(Node::Sequence(items)) => items,
            _ => &[],
        }
    }

    /// `_rebuild_parameter(tensor, …)` is the tensor.
    fn rebuilt_parameter(&self, callee: NodeId, arguments: NodeId) -> Option<NodeId> {
        match (self.node(callee), self.node(arguments)) {
            (Node::Global(name), Node::Sequence(arguments)) if name == "torch._utils _rebuild_parameter" => {
                arguments.first().copied()
            }
            _ => None,
        }
    }

    /// The pairs that an ordered dictionary was made with, in older pickles.
    fn pairs(&self, list: Option<NodeId>) -> Vec<(NodeId, NodeId)> {
        let pair = |id: &NodeId| match self.items(Some(id)) {
            &[key, value] => Some((key, value)),
            _ => None,
        };
        self.items(list.as_ref()).iter().filter_map(pair).collect()
    }

    /// `(storage, offset, sizes, strides, …)`.
    fn tensor(&self, arguments: &[NodeId]) -> Result<Node, String> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err("a tensor without its parts".into());
        };
        let Node::Storage(storage) = self.node(*storage) else {
            return Ok(Node::Inert);
        };
        Ok(Node::Tensor(View {
            storage: storage.clone(),
            offset: self.size(*offset)?,
            shape: self.sizes(*shape)?,
            strides: self.sizes(*strides)?,
        }))
    }

    /// `("storage", class, key, device, length, …)`.
    fn persistent(&mut self, id: NodeId) -> Result<Node, String> {
        let Node::Sequence(parts) = self.node(id) else { return Ok(Node::Inert) };
        let [tag, class, key, _, length, ..] = parts.as_slice() else { return Ok(Node::Inert) };
        match (self.node(*tag), self.node(*class), self.node(*key)) {
            (Node::Text(tag), Node::Global(class), Node::Text(key)) if tag == "storage" => {
                // Kinds that are not known (quantised ones) are no weights of ours.
                let Some(kind) = Kind::from_name(class) else { return Ok(Node::Inert) };
                if key.len() > MAX_NAME_BYTES {
                    return Err(format!("a storage whose name has {} bytes", key.len()));
                }
                let storage = Storage { key: key.clone(), kind, length: self.size(*length)? };
                self.charge_bytes(storage.key.len() as u64)?;
                Ok(Node::Storage(storage))
            }
            _ => Ok(Node::Inert),
        }
    }

    fn size(&self, id: NodeId) -> Result<usize, String> {
        match self.node(id) {
            Node::Integer(value) => usize::try_from(*value).map_err(|_| format!("a size of {value}")),
            _ => Err("a size that is no number".into()),
        }
    }

    fn sizes(&self, id: NodeId) -> Result<Vec<usize>, String> {
        match self.node(id) {
            Node::Sequence(items) if items.len() > MAX_RANK => {
                Err(format!("a tensor of {} dimensions", items.len()))
            }
            Node::Sequence(items) => items.iter().map(|&item| self.size(item)).collect(),
            _ => Err("sizes that are no tuple".into()),
        }
    }

    fn blob(&mut self, input: &mut impl Read, length: usize) -> Result<Vec<u8>, String> {
        if length > MAX_TEXT_BYTES {
            return Err(format!("a string of {length} bytes in the pickle"));
        }
        // Grown by what is there, not by what is claimed.
        let mut blob = Vec::new();
        input.take(length as u64).read_to_end(&mut blob).map_err(|e| e.to_string())?;
        self.charge_bytes(2 * blob.len() as u64)?;
        if blob.len() < length { Err(ENDS.into()) } else { Ok(blob) }
    }

    fn text(&mut self, input: &mut impl Read, length: usize) -> Result<Node, String> {
        let blob = self.blob(input, length)?;
        Ok(String::from_utf8(blob).map_or(Node::Inert, Node::Text))
    }

    fn line(&mut self, input: &mut impl Read) -> Result<String, String> {
        let mut line = Vec::new();
        loop {
            match byte(input)? {
                b'\n' => {
                    self.charge_bytes(2 * line.len() as u64)?;
                    return String::from_utf8(line).map_err(|_| "a name that is not UTF-8".into());
                }
                other => line.push(other),
            }
            if line.len() > MAX_NAME_BYTES {
                return Err("a name without end".into());
            }
        }
    }
}

/// Longest name of a function, a class or a storage.
const MAX_NAME_BYTES: usize = 4096;
const ENDS: &str = "the file ends within the pickle";

fn byte(input: &mut impl Read) -> Result<u8, String> {
    bytes::<1>(input).map(|[byte]| byte)
}

fn bytes<const N: usize>(input: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(|_| ENDS)?;
    Ok(bytes)
}

/// A little-endian number of any length; only its low 64 bits matter here.
fn long(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut word = [if negative { 0xff } else { 0 }; 8];
    word.iter_mut().zip(bytes).for_each(|(w, &b)| *w = b);
    i64::from_le_bytes(word)
}

fn recall(state: &mut State, slot: u32) -> Result<(), String> {
    let id = *state.memo.get(&slot).ok_or("the pickle recalls what it never remembered")?;
    state.stack.push(id);
    Ok(())
}

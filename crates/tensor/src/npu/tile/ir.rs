//! Instructions and programs.

/// Type of an element in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Elem {
    /// IEEE half precision.
    F16,
    /// Half of a single-precision number: 8 bits of exponent, 7 of fraction.
    Bf16,
    /// Single precision.
    F32,
}

impl Elem {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        2 * self.words()
    }

    /// 16-bit words of an element.
    pub fn words(self) -> usize {
        if self == Self::F32 { 2 } else { 1 }
    }
}

/// A buffer of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Staging of operands.
    L1,
    /// Left operands of the cube.
    L0a,
    /// Right operands of the cube.
    L0b,
    /// Results of the cube.
    L0c,
    /// Operands of the vector unit.
    Ub,
}

/// An instruction queue of a core; each works in order, all work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pipe {
    /// Memory to L1 or UB.
    Mte2,
    /// L1 to L0A and L0B.
    Mte1,
    /// Matrix products.
    Cube,
    /// L0C to memory.
    Fixpipe,
    /// Element-wise work in UB.
    Vector,
    /// UB to memory.
    Mte3,
}

impl Pipe {
    /// All pipes.
    pub const ALL: [Self; 6] = [Self::Mte2, Self::Mte1, Self::Cube, Self::Fixpipe, Self::Vector, Self::Mte3];

    /// Name in tables and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mte2 => "MTE2",
            Self::Mte1 => "MTE1",
            Self::Cube => "cube",
            Self::Fixpipe => "fixpipe",
            Self::Vector => "vector",
            Self::Mte3 => "MTE3",
        }
    }
}

/// A matrix in memory: row `r` starts at element `offset + r·stride`; rows may overlap.
///
/// A load takes elements outside of `valid` as zeros, as the hardware pads convolutions; what is stored has no such
/// elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GmView {
    /// Index of the tensor in the program.
    pub tensor: usize,
    /// First element.
    pub offset: isize,
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub cols: usize,
    /// Elements from row to row.
    pub stride: usize,
    /// First and last element (exclusive) that are loaded.
    pub valid: (usize, usize),
}

/// A matrix in a buffer: row `r` starts `r·stride` elements after byte `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The buffer.
    pub space: Space,
    /// First byte.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub cols: usize,
    /// Elements from row to row.
    pub stride: usize,
    /// Type of the elements.
    pub elem: Elem,
}

impl Local {
    /// The part of `rows` rows from `row` and `cols` columns from `col`.
    pub fn part(self, row: usize, col: usize, rows: usize, cols: usize) -> Self {
        let offset = self.offset + (row * self.stride + col) * self.elem.bytes();
        Self { offset, rows, cols, ..self }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `eˣ`
    Exp,
    /// `ln x`
    Ln,
    /// `√x`
    Sqrt,
    /// `1/x`; 0 for 0, so that rows without any weight stay 0
    Reciprocal,
    /// The error function.
    Erf,
    /// `|x|`
    Abs,
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// The larger.
    Max,
    /// Quotient.
    Div,
}

/// A function of 32-bit words: an element of a single-precision matrix is taken as its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Sum of two, modulo 2³².
    Add,
    /// Exclusive or of two.
    Xor,
    /// Product with a number, modulo 2³².
    Times(u32),
    /// Shift to the right.
    Shift(u32),
    /// The numbers 1 or 0: whether the word, without sign, is at least this.
    AtLeast(u32),
}

/// What a row is reduced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The largest element.
    Max,
    /// The sum.
    Sum,
}

/// Work of the vector unit. Values are computed in single precision and rounded to the type of the result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VecOp {
    /// `to = value`
    Fill(f32),
    /// `to = a`, in another type.
    Cast,
    /// `to = f(a)`
    Unary(Unary),
    /// `to = a ∘ value`
    Scalar(Binary, f32),
    /// `to = a ∘ b`; `b` may be one row or one column, which is then used for all.
    Binary(Binary),
    /// `to[r, 0] = reduce a[r, ..]`
    RowReduce(Reduce),
    /// `to[0, c] += Σᵣ a[r, c]`
    AddColumns,
    /// `to[0, c] = max(to[0, c], maxᵣ a[r, c])`
    MaxColumns,
    /// `to[i] = first + step·i`, elements in row-major order.
    Ramp {
        /// The first element.
        first: f32,
        /// From element to element.
        step: f32,
    },
    /// As [`Unary`](Self::Unary) and [`Binary`](Self::Binary), on words.
    Word(Word),
    /// `to = b ≠ 0 ? a : value`
    Select(f32),
}

/// A counter that one pipe raises and another waits for; index into the flags of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub usize);

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instr {
    /// MTE2: memory to L1 or UB; rows and columns that `to` has more are set to zero.
    Load {
        /// Source.
        from: GmView,
        /// Destination.
        to: Local,
    },
    /// MTE1: L1 to L0A or L0B.
    Extract {
        /// Source.
        from: Local,
        /// Destination.
        to: Local,
        /// Whether rows become columns.
        transpose: bool,
    },
    /// Cube: `c[r, ..] = row`, the start of a product with bias. Reads L1.
    Bias {
        /// `[1, n]` in L1, single precision.
        row: Local,
        /// `[m, n]` in L0C.
        c: Local,
    },
    /// Cube: `c = a·b`, or `c += a·b`, in single precision.
    Mmad {
        /// `[m, k]` in L0A.
        a: Local,
        /// `[k, n]` in L0B.
        b: Local,
        /// `[m, n]` in L0C.
        c: Local,
        /// Whether `c` is added to.
        accumulate: bool,
    },
    /// Fixpipe: L0C to memory, rounded to the type of the tensor.
    Fixpipe {
        /// Source.
        from: Local,
        /// Destination.
        to: GmView,
    },
    /// Vector: work in UB.
    Vector {
        /// What is done.
        op: VecOp,
        /// Result.
        to: Local,
        /// First operand.
        a: Local,
        /// Second operand.
        b: Option<Local>,
    },
    /// MTE3: UB to memory.
    Store {
        /// Source.
        from: Local,
        /// Destination.
        to: GmView,
    },
    /// Raises a flag when everything before it in the same pipe is done.
    Set {
        /// The flag.
        flag: Flag,
        /// The pipe.
        pipe: Pipe,
    },
    /// Stops a pipe until a flag was raised once more than it was waited for.
    Wait {
        /// The flag.
        flag: Flag,
        /// The pipe.
        pipe: Pipe,
    },
}

impl Instr {
    /// The pipe that executes it.
    pub fn pipe(&self) -> Pipe {
        match self {
            Self::Load { .. } => Pipe::Mte2,
            Self::Extract { .. } => Pipe::Mte1,
            Self::Bias { .. } | Self::Mmad { .. } => Pipe::Cube,
            Self::Fixpipe { .. } => Pipe::Fixpipe,
            Self::Vector { .. } => Pipe::Vector,
            Self::Store { .. } => Pipe::Mte3,
            Self::Set { pipe, .. } | Self::Wait { pipe, .. } => *pipe,
        }
    }

    /// Name in traces and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Load { .. } => "load",
            Self::Extract { .. } => "extract",
            Self::Bias { .. } => "bias",
            Self::Mmad { .. } => "mmad",
            Self::Fixpipe { .. } => "fixpipe",
            Self::Vector { .. } => "vector",
            Self::Store { .. } => "store",
            Self::Set { .. } => "set",
            Self::Wait { .. } => "wait",
        }
    }
}

/// Which units a core has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoreKind {
    /// Cube unit with L1, L0A, L0B, L0C.
    Cube,
    /// Vector unit with UB.
    Vector,
}

/// The instructions of one core.
#[derive(Debug, Clone)]
pub struct Core {
    /// Its units.
    pub kind: CoreKind,
    /// In program order; a pipe takes its own in this order.
    pub code: Vec<Instr>,
}

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Read only.
    Input,
    /// Written whole.
    Output,
    /// Working memory.
    Work,
}

/// A tensor in memory.
#[derive(Debug, Clone)]
pub struct TensorDecl {
    /// Name in errors.
    pub name: &'static str,
    /// Type of its elements.
    pub elem: Elem,
    /// Number of elements.
    pub len: usize,
    /// What it is for.
    pub role: Role,
}

impl TensorDecl {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.len * self.elem.bytes()
    }
}

/// Programs of all cores for one operation.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Operation and sizes.
    pub name: String,
    /// Tensors in memory.
    pub tensors: Vec<TensorDecl>,
    /// Cores at work.
    pub cores: Vec<Core>,
    /// Number of flags.
    pub flags: usize,
}

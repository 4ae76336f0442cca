//! The functions that cross the boundary, as data: what a host looks up and checks, and what is written down in other
//! languages. What they mean is in CONTRACT.md.

use super::name;

/// A type of Wasm. The contract's integers are unsigned, but for what is said to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
}

/// A function's name, parameters and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in the module.
    pub name: &'static str,
    /// Names and types of its parameters.
    pub parameters: &'static [(&'static str, ValueType)],
    /// Type of its result, if it has one.
    pub result: Option<ValueType>,
}

use ValueType::{I32, I64};

/// What every plugin exports, beside its `memory`.
pub const EXPORTS: [Function; 7] = [
    Function { name: name::INPUT, parameters: &[("len", I32)], result: Some(I32) },
    Function { name: name::CONFIGURE, parameters: &[("len", I32)], result: Some(I32) },
    Function {
        name: name::PROBE,
        parameters: &[("len_a", I32), ("len_b", I32), ("flags", I32), ("ports", I32)],
        result: Some(I64),
    },
    Function { name: name::OPEN, parameters: &[("flags", I32), ("ports", I32)], result: Some(I32) },
    Function {
        name: name::PARSE,
        parameters: &[("handle", I32), ("flags", I32), ("offset", I64), ("len", I32), ("gap", I64)],
        result: Some(I32),
    },
    Function {
        name: name::RESYNC,
        parameters: &[("handle", I32), ("flags", I32), ("offset", I64), ("len", I32)],
        result: Some(I32),
    },
    Function { name: name::CLOSE, parameters: &[("handle", I32)], result: None },
];

/// What a plugin may import from [`IMPORT_MODULE`](super::IMPORT_MODULE).
pub const IMPORTS: [Function; 2] = [
    Function { name: name::PENDING, parameters: &[("select", I32), ("id", I64), ("out", I32)], result: Some(I32) },
    Function { name: name::LOG, parameters: &[("level", I32), ("ptr", I32), ("len", I32)], result: None },
];

impl core::fmt::Display for ValueType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            I32 => "i32",
            I64 => "i64",
        })
    }
}

/// The signature, as CONTRACT.md writes it.
impl core::fmt::Display for Function {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("(")?;
        for (index, (name, ty)) in self.parameters.iter().enumerate() {
            write!(f, "{}{name}: {ty}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(")")?;
        self.result.map_or(Ok(()), |ty| write!(f, " -> {ty}"))
    }
}

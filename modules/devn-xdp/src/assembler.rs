//! eBPF instructions, one call each, with labels for what lies ahead (RFC 9669).
//!
//! Only what the steering program needs. Registers 1 to 5 are lost in a call, 6 to 9 are not; 10 is
//! the stack's end; 0 is what the program returns.

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reg(pub(crate) u8);

pub(crate) const R0: Reg = Reg(0);
pub(crate) const R1: Reg = Reg(1);
pub(crate) const R2: Reg = Reg(2);
pub(crate) const R3: Reg = Reg(3);
pub(crate) const R4: Reg = Reg(4);
pub(crate) const R5: Reg = Reg(5);
pub(crate) const R6: Reg = Reg(6);
pub(crate) const R7: Reg = Reg(7);
pub(crate) const R8: Reg = Reg(8);
pub(crate) const R9: Reg = Reg(9);
/// The end of the stack's 512 bytes.
pub(crate) const STACK: Reg = Reg(10);

/// A place in the program, which may be named before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Bytes that a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    One = 0x10,
    Two = 0x08,
    Four = 0x00,
    Eight = 0x18,
}

/// When a jump is taken. Values are compared as unsigned numbers of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Equal = 0x10,
    Above = 0x20,
    AnyOf = 0x40,
    Other = 0x50,
    Below = 0xa0,
}

// Classes and operations (RFC 9669, 3 to 5).
const LD_IMM64: u8 = 0x18;
const LDX: u8 = 0x61;
const STX: u8 = 0x63;
const ALU64: u8 = 0x07;
const TO_BIG_ENDIAN: u8 = 0xdc;
const JUMP: u8 = 0x05;
const JUMP32: u8 = 0x06;
const BY_REGISTER: u8 = 0x08;
const ABOVE_REGISTER: u8 = 0x2d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const ADD: u8 = 0x00;
const AND: u8 = 0x50;
const SHIFT_LEFT: u8 = 0x60;
const MOVE: u8 = 0xb0;
/// Source register of an immediate that is a map's descriptor (RFC 9669, 5.4).
const MAP_BY_FD: u8 = 1;

/// Instructions so far.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<u64>,
    /// Where each label is, once known.
    labels: Vec<Option<usize>>,
    /// Instructions that jump, and where to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A label to be placed later.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places `label` here.
    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    fn emit(&mut self, operation: u8, to: Reg, from: Reg, offset: i16, value: i32) {
        let [o0, o1] = offset.to_le_bytes();
        let [v0, v1, v2, v3] = value.to_le_bytes();
        let registers = to.0 | from.0 << 4;
        let bytes = [operation, registers, o0, o1, v0, v1, v2, v3];
        self.code.push(u64::from_le_bytes(bytes));
    }

    /// `to = value`.
    pub(crate) fn set(&mut self, to: Reg, value: i32) {
        self.emit(ALU64 | MOVE, to, R0, 0, value);
    }

    /// `to = from`.
    pub(crate) fn copy(&mut self, to: Reg, from: Reg) {
        self.emit(ALU64 | MOVE | BY_REGISTER, to, from, 0, 0);
    }

    /// `to += value`.
    pub(crate) fn add(&mut self, to: Reg, value: i32) {
        self.emit(ALU64 | ADD, to, R0, 0, value);
    }

    /// `to += from`.
    pub(crate) fn add_reg(&mut self, to: Reg, from: Reg) {
        self.emit(ALU64 | ADD | BY_REGISTER, to, from, 0, 0);
    }

    /// `to &= value`.
    pub(crate) fn and(&mut self, to: Reg, value: i32) {
        self.emit(ALU64 | AND, to, R0, 0, value);
    }

    /// `to <<= bits`.
    pub(crate) fn shift_left(&mut self, to: Reg, bits: i32) {
        self.emit(ALU64 | SHIFT_LEFT, to, R0, 0, bits);
    }

    /// Takes the low 16 bits of `to`, which came from a packet, as a number.
    pub(crate) fn network_to_host16(&mut self, to: Reg) {
        self.emit(TO_BIG_ENDIAN, to, R0, 0, 16);
    }

    /// `to = *(from + offset)`.
    pub(crate) fn load(&mut self, width: Width, to: Reg, from: Reg, offset: i16) {
        self.emit(LDX | width as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = from`.
    pub(crate) fn store(&mut self, width: Width, to: Reg, offset: i16, from: Reg) {
        self.emit(STX | width as u8, to, from, offset, 0);
    }

    /// `to =` the map whose descriptor is `fd`.
    pub(crate) fn map(&mut self, to: Reg, fd: i32) {
        self.emit(LD_IMM64, to, Reg(MAP_BY_FD), 0, fd);
        self.code.push(0);
    }

    /// Goes on at `label`.
    pub(crate) fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(JUMP, R0, R0, 0, 0);
    }

    /// Goes on at `label` if `reg` compares so with `value`.
    pub(crate) fn jump_if(&mut self, reg: Reg, is: Is, value: i32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(JUMP32 | is as u8, reg, R0, 0, value);
    }

    /// Goes on at `label` if `reg`, as 64 bits, is above `other`: for pointers.
    pub(crate) fn jump_if_above(&mut self, reg: Reg, other: Reg, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(ABOVE_REGISTER, reg, other, 0, 0);
    }

    /// Calls the kernel's helper with this number.
    pub(crate) fn call(&mut self, helper: i32) {
        self.emit(CALL, R0, R0, 0, helper);
    }

    /// Returns `R0`.
    pub(crate) fn exit(&mut self) {
        self.emit(EXIT, R0, R0, 0, 0);
    }

    /// The program. None where a label was never placed, or a jump is too far.
    pub(crate) fn finish(mut self) -> Option<Vec<u64>> {
        for (at, label) in self.jumps {
            let target = self.labels[label.0]?;
            // Counted from the instruction after the jump.
            let distance = i16::try_from(target as i64 - at as i64 - 1).ok()?;
            self.code[at] |= u64::from(distance.cast_unsigned()) << 16;
        }
        Some(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_as_specified() {
        let mut a = Assembler::default();
        a.set(R0, 2);
        a.load(Width::Two, R9, R7, 12);
        a.store(Width::Four, STACK, -4, R1);
        a.map(R1, 7);
        a.network_to_host16(R9);
        a.exit();
        let code = a.finish().unwrap();
        let bytes: Vec<[u8; 8]> = code.into_iter().map(u64::to_le_bytes).collect();
        assert_eq!(bytes[0], [0xb7, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[1], [0x69, 0x79, 12, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[2], [0x63, 0x1a, 0xfc, 0xff, 0, 0, 0, 0]);
        assert_eq!(bytes[3], [0x18, 0x11, 0, 0, 7, 0, 0, 0]);
        assert_eq!(bytes[4], [0; 8]);
        assert_eq!(bytes[5], [0xdc, 9, 0, 0, 16, 0, 0, 0]);
        assert_eq!(bytes[6], [0x95, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn jumps_lead_to_their_labels() {
        let mut a = Assembler::default();
        let (ahead, back) = (a.label(), a.label());
        a.place(back);
        a.jump_if(R1, Is::Equal, -1, ahead);
        a.jump(back);
        a.place(ahead);
        a.exit();
        let code = a.finish().unwrap();
        assert_eq!(code[0].to_le_bytes(), [0x16, 1, 1, 0, 255, 255, 255, 255]);
        assert_eq!(code[1].to_le_bytes(), [0x05, 0, 0xfe, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn a_label_without_a_place_and_a_jump_too_far_are_refused() {
        let mut a = Assembler::default();
        let label = a.label();
        a.jump(label);
        assert_eq!(a.finish(), None);
        let mut a = Assembler::default();
        let label = a.label();
        a.jump(label);
        for _ in 0..40_000 {
            a.exit();
        }
        a.place(label);
        assert_eq!(a.finish(), None);
    }
}

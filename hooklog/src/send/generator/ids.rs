//! Ids as Stripe writes them: a prefix, then letters and digits of a known length. Each is computed from a serial number,
//! so nothing has to be remembered, and no two serials of a kind can meet: the last eight letters are a bijection.

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    PaymentEvent,
    ThinEvent,
    Customer,
    Subscription,
    SubscriptionItem,
    Invoice,
    LineItem,
    PaymentIntent,
    Charge,
    BalanceTransaction,
    Refund,
    Dispute,
    PaymentMethod,
    CheckoutLive,
    CheckoutTest,
    Product,
    Price,
    Request,
    Feature,
    Entitlement,
    EventDestination,
    Ledger,
}

enum Shape {
    /// `1` or `3`, five letters, ten of the account, eight of its own: 24.
    Account(u8),
    /// 14 letters, the account not among them.
    Short,
    /// A lead and that many blocks of eight letters.
    Blocks(&'static str, u32),
}

/// The spelling of every id of one seed.
pub(super) struct Ids {
    account: [u8; 10],
    salt: u64,
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        let salt = mix(seed ^ 0x686f_6f6b_6c6f_6721);
        let mut account = [0; 10];
        base62(mix(salt) >> 8, &mut account);
        Self { account, salt }
    }

    /// Appends the id of `serial` to `out`.
    pub(super) fn write(&self, kind: Kind, serial: u64, out: &mut Vec<u8>) {
        let (prefix, shape) = form(kind);
        out.extend_from_slice(prefix.as_bytes());
        match shape {
            Shape::Account(lead) => self.write_account(lead, kind, serial, out),
            Shape::Short => {
                letters::<8>(unique(kind, serial), out);
                letters::<6>(mix(serial ^ self.salt), out);
            }
            Shape::Blocks(lead, blocks) => self.write_blocks(lead, blocks, kind, serial, out),
        }
    }

    /// The id of `serial` as text.
    pub(super) fn text(&self, kind: Kind, serial: u64) -> String {
        let mut out = Vec::with_capacity(32);
        self.write(kind, serial, &mut out);
        String::from_utf8(out).expect("ids are ASCII")
    }

    /// A Connect account's id; there are as many as one asks for.
    pub(super) fn account(&self, number: u8) -> String {
        let mut out = b"acct_1".to_vec();
        letters::<7>(mix(self.salt ^ u64::from(number)), &mut out);
        letters::<8>(mix(self.salt.rotate_left(17) ^ u64::from(number)), &mut out);
        String::from_utf8(out).expect("ids are ASCII")
    }

    fn write_account(&self, lead: u8, kind: Kind, serial: u64, out: &mut Vec<u8>) {
        out.push(lead);
        letters::<5>(mix(serial ^ self.salt), out);
        out.extend_from_slice(&self.account);
        letters::<8>(unique(kind, serial), out);
    }

    fn write_blocks(&self, lead: &str, blocks: u32, kind: Kind, serial: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(lead.as_bytes());
        letters::<8>(unique(kind, serial), out);
        for block in 1..blocks {
            letters::<8>(mix(serial.rotate_left(block) ^ self.salt), out);
        }
    }
}

fn form(kind: Kind) -> (&'static str, Shape) {
    match kind {
        Kind::Event => ("evt_", Shape::Account(b'1')),
        Kind::PaymentEvent => ("evt_", Shape::Account(b'3')),
        Kind::ThinEvent => ("evt_", Shape::Blocks("65R9Ij", 5)),
        Kind::Customer => ("cus_", Shape::Short),
        Kind::Subscription => ("sub_", Shape::Account(b'1')),
        Kind::SubscriptionItem => ("si_", Shape::Short),
        Kind::Invoice => ("in_", Shape::Account(b'1')),
        Kind::LineItem => ("il_", Shape::Account(b'1')),
        Kind::PaymentIntent => ("pi_", Shape::Account(b'3')),
        Kind::Charge => ("ch_", Shape::Account(b'3')),
        Kind::BalanceTransaction => ("txn_", Shape::Account(b'3')),
        Kind::Refund => ("re_", Shape::Account(b'3')),
        Kind::Dispute => ("du_", Shape::Account(b'1')),
        Kind::PaymentMethod => ("pm_", Shape::Account(b'1')),
        Kind::CheckoutLive => ("cs_live_", Shape::Blocks("a1", 7)),
        Kind::CheckoutTest => ("cs_test_", Shape::Blocks("a1", 7)),
        Kind::Product => ("prod_", Shape::Short),
        Kind::Price => ("price_", Shape::Account(b'1')),
        Kind::Request => ("req_", Shape::Short),
        Kind::Feature => ("feat_", Shape::Blocks("61", 4)),
        Kind::Entitlement => ("ent_", Shape::Blocks("61", 4)),
        Kind::EventDestination => ("ed_", Shape::Blocks("61", 4)),
        Kind::Ledger => ("qled_", Shape::Account(b'1')),
    }
}

const SPACE: u64 = (1 << 47) - 1;

/// A bijection on 47 bits (below 62^8): multiply by an odd number, fold the high bits in, twice.
fn unique(kind: Kind, serial: u64) -> u64 {
    let mut value = serial.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x9e37_79b9 * (kind as u64 + 1)) & SPACE;
    value ^= value >> 23;
    value = value.wrapping_mul(0x2545_f491_4f6c_dd1d) & SPACE;
    value ^ (value >> 24)
}

/// The finaliser of splitmix64.
pub(super) fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn base62(mut value: u64, out: &mut [u8]) {
    for place in out.iter_mut().rev() {
        *place = BASE62[(value % 62) as usize];
        value /= 62;
    }
}

fn letters<const N: usize>(value: u64, out: &mut Vec<u8>) {
    let mut buffer = [0; N];
    base62(value, &mut buffer);
    out.extend_from_slice(&buffer);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_have_stripes_lengths() {
        let ids = Ids::new(1);
        let length = |kind| ids.text(kind, 5).split('_').next_back().map(str::len);
        assert_eq!(length(Kind::Event), Some(24));
        assert_eq!(length(Kind::Subscription), Some(24));
        assert_eq!(length(Kind::Customer), Some(14));
        assert_eq!(length(Kind::CheckoutLive), Some(58));
        assert_eq!(length(Kind::ThinEvent), Some(46));
        assert_eq!(ids.account(0).len(), "acct_1MowQVLkdIwHu7ix".len());
    }

    #[test]
    fn no_two_serials_share_an_id() {
        let ids = Ids::new(1);
        let seen: HashSet<_> = (0..50_000).map(|serial| ids.text(Kind::Customer, serial)).collect();
        assert_eq!(seen.len(), 50_000);
        let tails: HashSet<_> = (0..50_000).map(|serial| unique(Kind::Event, serial * 977)).collect();
        assert_eq!(tails.len(), 50_000);
        assert!(tails.iter().all(|tail| *tail < 62_u64.pow(8)));
    }

    #[test]
    fn another_seed_is_another_account() {
        assert_ne!(Ids::new(1).text(Kind::Event, 9), Ids::new(2).text(Kind::Event, 9));
        assert_ne!(Ids::new(1).account(0), Ids::new(1).account(1));
    }
}

//! Records as the eras before protobuf laid them out.

/// An era of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Era {
    L0,
    L1,
    L2,
    L3,
    L4,
    Pb,
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub is_response: bool,
    pub request_len: Option<u32>,
    pub response_len: Option<u32>,
    pub id: Option<u32>,
    pub version: String,
    pub type_name: String,
    pub endpoint: String,
    pub domain: String,
    pub resource: String,
    pub status: u8,
    pub code: Option<i32>,
    pub result: String,
    pub exception: String,
    pub protocol: String,
    pub merge: u8,
    pub trace_id: String,
    pub span_id: String,
    pub attributes: Vec<(String, String)>,
    pub business: u8,
}

impl Message {
    /// The record, without the length before it.
    pub fn encode(&self, era: Era) -> Vec<u8> {
        if era == Era::Pb {
            return crate::protobuf::encode(self);
        }
        let mut out = Vec::new();
        for len in [self.request_len, self.response_len] {
            out.extend(len.map_or(0, |len| len | 1 << 31).to_be_bytes());
        }
        out.push(u8::from(self.id.is_some()));
        out.extend(self.id.iter().flat_map(|id| id.to_be_bytes()));
        if self.is_response {
            out.extend([self.status, u8::from(self.code.is_some())]);
            out.extend(self.code.iter().flat_map(|code| code.to_be_bytes()));
            put(&mut out, [&self.result, &self.exception]);
        } else {
            put(&mut out, [&self.type_name, &self.endpoint, &self.domain, &self.resource]);
        }
        if era >= Era::L4 {
            put(&mut out, [&self.protocol]);
        }
        if era >= Era::L1 {
            out.push(self.merge);
        }
        self.put_trace(&mut out);
        out.push(u8::from(!self.attributes.is_empty()));
        self.put_attributes(&mut out);
        if era >= Era::L3 {
            out.push(self.business);
        }
        out
    }

    /// What HTTP hooks of the first eras gave back.
    pub fn http_result(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put_trace(&mut out);
        self.put_attributes(&mut out);
        out
    }

    fn put_trace(&self, out: &mut Vec<u8>) {
        out.push(u8::from(!self.trace_id.is_empty()));
        if !self.trace_id.is_empty() {
            put(out, [&self.trace_id, &self.span_id, ""]);
        }
    }

    fn put_attributes(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.attributes {
            put(out, [key, value]);
        }
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, texts: [&str; N]) {
    for text in texts {
        out.extend((text.len() as u16).to_be_bytes());
        out.extend(text.as_bytes());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Era, Message};
    use crate::golden::golden;

    pub(crate) fn request() -> Message {
        Message {
            request_len: Some(32),
            id: Some(7),
            type_name: "GET".into(),
            endpoint: "/item".into(),
            domain: "shop".into(),
            resource: "item/1".into(),
            protocol: "toy".into(),
            ..Message::default()
        }
    }

    pub(crate) fn response() -> Message {
        Message {
            is_response: true,
            response_len: Some(64),
            id: Some(7),
            status: 3,
            code: Some(500),
            result: "done".into(),
            exception: "boom!".into(),
            protocol: "toy".into(),
            merge: 0x81,
            trace_id: "t1".into(),
            span_id: "s1".into(),
            attributes: vec![("k".into(), "v".into()), ("a".into(), String::new())],
            business: 5,
            ..Message::default()
        }
    }

    #[test]
    fn records_are_as_the_goldens_have_them() {
        for (name, era) in [("l0", Era::L0), ("l1", Era::L1), ("l1", Era::L2), ("l3", Era::L3), ("l4", Era::L4)] {
            assert_eq!(request().encode(era), golden(&format!("{name}_request"))[2..], "{name}");
            assert_eq!(response().encode(era), golden(&format!("{name}_response"))[2..], "{name}");
        }
        let mut message = response();
        message.attributes.pop();
        assert_eq!(message.http_result(), golden("http_result"));
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Messages whose data arrive, all at once or in parts with other messages between them.

use super::{
    calls::Note,
    receive::{
        usize_of,
        violation,
        End, //
    },
    request::Reply,
    status_error,
    Link, //
};
use crate::peer::call::{
    Call,
    Sink, //
};
use hmdfs_kapi::page_run::PageRun;
use hmdfs_model::calls::Taken;
use hmdfs_proto::{
    Header,
    Status, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// A message that is arriving, and belongs to the receiver meanwhile: it is taken by whoever it is
/// for when it is there, or given back when the link ends before.
pub(super) struct Arriving {
    id: u64,
    /// Bytes of data that come later.
    left: u32,
    what: What,
}

enum What {
    /// The reply to a call.
    Reply(Answer),
    /// A reply that nobody waits for any more, with its number.
    Nothing(Note),
    /// A request, with how much of its data is there.
    Request(Header, KVVec<u8>, PageRun, usize),
}

struct Answer {
    call: Call,
    note: Note,
    /// What the call ends with, as it looks so far.
    result: Result<Reply>,
    /// Bytes of data that have arrived.
    filled: usize,
}

impl Arriving {
    /// The reply to what was in a slot of the table.
    pub(super) fn reply(taken: Taken<Call, Note>) -> Self {
        let note = taken.note;
        let what = match taken.call {
            Some(call) => What::Reply(Answer {
                call,
                note,
                result: Err(EIO),
                filled: 0,
            }),
            None => What::Nothing(note),
        };
        Self {
            id: 0,
            left: 0,
            what,
        }
    }

    /// A request whose data go to `run`.
    pub(super) fn request(header: Header, body: KVVec<u8>, run: PageRun) -> Self {
        Self {
            id: 0,
            left: 0,
            what: What::Request(header, body, run, 0),
        }
    }

    /// Whether anybody waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.what, What::Nothing(_))
    }
}

impl Link {
    /// Receives the body of a reply, and the data that follow at once.
    pub(super) fn receive_beginning(
        &self,
        header: &Header,
        reply: &mut Arriving,
    ) -> Result<(), End> {
        let What::Reply(answer) = &mut reply.what else {
            return self.skip_rest(header);
        };
        if header.all_data() > answer.call.data_limit() {
            return Err(violation("more data than were asked for"));
        }
        self.counters.replies_received.add(1);
        answer.result = self.receive_answer(header, &mut answer.call)?;
        self.receive_data(reply, header.data)
    }

    fn receive_answer(&self, header: &Header, call: &mut Call) -> Result<Result<Reply>, End> {
        let Ok(mut body) = KVVec::from_elem(0, usize_of(header.body), GFP_KERNEL) else {
            self.skip(usize_of(header.body))?;
            return Ok(Err(ENOMEM));
        };
        self.fill(&mut body)?;
        if header.status != Status::Ok {
            return Ok(Err(status_error(header.status)));
        }
        let mut data = KVVec::new();
        if let Some(Sink::Waiter(_)) = call.sink() {
            match KVVec::from_elem(0, usize_of(header.all_data()), GFP_KERNEL) {
                Ok(room) => data = room,
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(Reply {
            body,
            data_length: header.all_data(),
            data,
            epoch: self.epoch(),
        }))
    }

    /// Receives `length` bytes of data of a message.
    pub(super) fn receive_data(&self, arriving: &mut Arriving, length: u32) -> Result<(), End> {
        let length = usize_of(length);
        if length == 0 {
            return Ok(());
        }
        match &mut arriving.what {
            What::Reply(answer) => self.receive_answer_data(answer, length)?,
            What::Nothing(_) => self.skip(length)?,
            What::Request(_, _, run, at) => {
                self.fill_pages(run, *at, length)?;
                *at = at.saturating_add(length);
            }
        }
        self.flowed.store(self.now().max(1), Relaxed);
        Ok(())
    }

    fn receive_answer_data(&self, answer: &mut Answer, length: usize) -> Result<(), End> {
        let start = answer.filled;
        answer.filled = start.saturating_add(length);
        let Ok(reply) = &mut answer.result else {
            return self.skip(length);
        };
        let error = match answer.call.sink() {
            Some(Sink::Waiter(_)) => match reply.data.get_mut(start..answer.filled) {
                Some(buffer) => return self.fill(buffer),
                None => EIO,
            },
            Some(Sink::Completion(completion)) => {
                // CAST: It was made of such a number.
                match completion.destination(length as u32) {
                    Ok(iterator) if iterator.len() >= length => {
                        return self.fill_iterator(iterator, length);
                    }
                    Ok(_) => EIO,
                    Err(error) => error,
                }
            }
            Some(Sink::Nobody) | None => EIO,
        };
        answer.result = Err(error);
        self.skip(length)
    }

    /// Receives the next part of the message that is `arriving`.
    pub(super) fn receive_part(
        self: &Arc<Self>,
        header: &Header,
        arriving: &mut Option<Arriving>,
    ) -> Result<(), End> {
        let Some(mut message) = arriving.take() else {
            return Err(violation("data of no message"));
        };
        let fits = header.id == message.id
            && header.body == 0
            && header.data != 0
            && header.all_data() == message.left;
        let received = if fits {
            self.receive_data(&mut message, header.data)
        } else {
            Err(violation("data of another message"))
        };
        self.settle(header, message, received, arriving)
    }

    /// What is to be done with a message of which a part was `received` now: it is kept in
    /// `arriving`, or all of it is there, or the link ends.
    pub(super) fn settle(
        self: &Arc<Self>,
        header: &Header,
        mut message: Arriving,
        received: Result<(), End>,
        arriving: &mut Option<Arriving>,
    ) -> Result<(), End> {
        if let Err(End(reason, errno)) = received {
            // Not on this link.
            self.end(reason, errno);
            self.give_back(message);
            return Err(End(reason, errno));
        }
        if header.more != 0 {
            message.id = header.id;
            message.left = header.more;
            *arriving = Some(message);
            return Ok(());
        }
        if arriving.is_none() {
            self.filling.store(0, Relaxed);
        }
        match message.what {
            What::Request(header, body, run, _) => self.take_request(header, body, Some(run)),
            What::Reply(answer) => {
                if answer.call.data_length() != 0 {
                    self.taken.store(self.now(), Relaxed);
                }
                // The call ends or goes back only after its data have arrived: what it receives into
                // is in use until then.
                answer.call.complete(answer.result);
                self.replied(answer.note);
                Ok(())
            }
            What::Nothing(note) => {
                self.replied(note);
                Ok(())
            }
        }
    }

    fn replied(&self, note: Note) {
        if let Some(ticket) = note {
            self.peer().replied(&ticket);
        }
        self.pump();
    }

    /// The link has ended before all of a message was there.
    pub(super) fn give_back(&self, message: Arriving) {
        match message.what {
            What::Reply(Answer { mut call, .. }) => {
                if let Some(Sink::Completion(completion)) = call.sink() {
                    completion.rewind();
                }
                self.peer().resubmit(call);
            }
            What::Nothing(Some(ticket)) => self.peer().doubt(&ticket),
            What::Nothing(None) | What::Request(..) => {}
        }
    }
}

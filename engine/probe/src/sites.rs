//! Every buggify site: what may happen there, legal by the contract of what it stands on, in one line.

use crate::names;

names! {
    /// A place where something legal but unlikely may be made to happen.
    Site {
        "Timers" {
            /// The leader's sign of life is sent after half its interval.
            LeaderHeartbeatEarly,
            /// A worker's sign of life is sent after half its interval.
            WorkerHeartbeatEarly,
            /// The automatic checkpoint comes due after half its interval; limits and pauses still hold.
            TriggerEarly,
            /// A failed record is written again without the pause.
            RecordRetryEarly,
            /// A worker connects again without the pause.
            ReconnectEarly,
            /// A barrier overtakes at once, as if its time to align were over.
            AlignmentTimeoutEarly,
            /// Timers that are due are told after every other task ran once more.
            TimersLate,
        }
        "Tasks" {
            /// The leader lets others run before it handles the next input.
            LeaderYields,
            /// A worker lets others run before it handles the next input.
            WorkerYields,
            /// An operator lets others run after one element.
            OperatorYields,
            /// The encoding of a snapshot lets others run after each key group.
            EncodingYields,
            /// The subtasks of a deployment are started in reverse.
            LaunchReversed,
            /// The subtasks of a worker hear of an order in reverse.
            OrdersReversed,
            /// A subtask that ended is known to its worker a while longer.
            SubtaskLeavesLate,
        }
        "Channels and connections" {
            /// A channel within a worker holds one batch.
            TinyChannel,
            /// A channel between workers begins with as few credits as are told at once.
            FewCredits,
            /// Credits are told one by one.
            CreditsOneByOne,
            /// A source emits a few records and then looks at its orders.
            ShortEmit,
            /// A batch is sent before it is full.
            ShortBatch,
            /// An attempt to connect to the leader is given up and made again.
            ConnectGivenUp,
            /// A data connection is opened, closed without a word, and opened again.
            ChannelOpenedTwice,
            /// The first frame of a data connection is read late.
            HelloReadLate,
            /// Frames to the other side wait until every other task ran once.
            FramesLate,
        }
        "Storage" {
            /// The bytes of a file are handed over in pieces, the first of them one byte long each.
            FileInPieces,
            /// A file that is written once is written twice.
            FileWrittenTwice,
            /// A file is read twice, and the second answer counts.
            FileReadTwice,
            /// A directory is listed twice, and the second answer counts.
            ListedTwice,
            /// Files are removed twice.
            RemovedTwice,
            /// A deletion begins late.
            DeletionLate,
            /// The leader hears late that something was stored.
            StorageAnswerLate,
            /// A subtask hears late that its snapshot is durable, so that it acks late.
            AckLate,
            /// The history of checkpoints is written late.
            HistoryLate,
        }
        "The sink" {
            /// A transaction is committed twice.
            CommittedTwice,
            /// Transactions of earlier attempts are removed twice.
            LingeringRemovedTwice,
            /// What a file sink holds in memory goes to the file after one batch.
            SmallSinkBuffer,
        }
    }
}

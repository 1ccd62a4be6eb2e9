//! A chain around another one that leaves the outputs of the `inner` one as they are.

/// `Outputs` for each type, by its field `inner`.
macro_rules! delegate_outputs {
    ($($type:ty),*) => {$(
        impl seawall_stream::chain::Outputs for $type {
            fn edges<'a>(
                &'a mut self,
                into: &mut Vec<&'a mut dyn seawall_stream::chain::EdgePort>,
            ) {
                self.inner.edges(into);
            }
            fn sink(&mut self) -> Option<&mut dyn seawall_stream::chain::SinkPort> {
                self.inner.sink()
            }
            fn states(
                &mut self,
                visit: &mut seawall_stream::operator_state::Visit<'_>,
            ) -> Result<(), seawall_stream::StreamError> {
                self.inner.states(visit)
            }
            fn tell(&mut self, notice: seawall_stream::chain::Notice) {
                self.inner.tell(notice);
            }
            fn hears_checkpoints(&self) -> bool {
                self.inner.hears_checkpoints()
            }
            fn hears_end(&self) -> bool {
                self.inner.hears_end()
            }
            fn makes_watermarks(&self) -> bool {
                self.inner.makes_watermarks()
            }
            fn on_watermark(&mut self, time: seawall_protocol::EventTime) {
                self.inner.on_watermark(time);
            }
        }
    )*};
}
pub(crate) use delegate_outputs;

#pragma once

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include "actors/messages.hpp"
#include "actors/supervision_messages.hpp"

/// The interfaces of actors as handles. A handle stays on its node and dies with its actor: whoever needs the next one asks the
/// supervisor by name (`caf::actor_cast<DiskWorker>(child.handle)`).
namespace troupe::actors {

/// Writes one data directory. actors/disk_worker.hpp
using DiskWorker =
    caf::typed_actor<caf::reacts_to<AppendBatches>,     // answered by AppendResults, one a turn
                     caf::reacts_to<SetHighWatermark>,  // not answered
                     caf::replies_to<OpenLog>::with<LogSnapshot>, caf::replies_to<TruncateLog>::with<LogSnapshot>,
                     caf::replies_to<ResetLog>::with<LogSnapshot>, caf::replies_to<AdvanceLogStart>::with<LogSnapshot>,
                     caf::replies_to<ApplyRetention>::with<LogSnapshot>, caf::replies_to<NextCleaning>::with<CleaningOffer>,
                     caf::replies_to<ReplaceSegments>::with<Done>,  //
                     caf::replies_to<RemoveLog>::with<Done>,        //
                     caf::replies_to<QuarantineLog>::with<Done>,    //
                     caf::replies_to<SetAsideLog>::with<Done>,      //
                     caf::reacts_to<RecoverDirectory>,              // not answered
                     caf::replies_to<Checkpoint>::with<Done>,       //
                     caf::replies_to<WriteSideFile>::with<Done>,    //
                     caf::replies_to<ReadSideFile>::with<SideFile>, caf::replies_to<ListLogs>::with<DirectoryContents>,
                     caf::replies_to<CloseDirectory>::with<Done>>;

/// Keeps its children running. actors/supervisor.hpp
using Supervisor = caf::typed_actor<caf::replies_to<GetChild>::with<Child>,  //
                                    caf::replies_to<StopChildren>::with<ChildrenStopped>>;

}  // namespace troupe::actors

// Objects derived from a coordinate set, cached on it: relations, downsampled sets, alignments. Bounded; the least
// recently used entry goes first. Entries never hold the set itself, so that the cache cannot keep its owner alive.

#include <string.h>

#include "coords/coords_internal.h"

static lat__cache_entry *find_entry(lat_coords *coords, const lat__cache_key *key) {
  for (int i = 0; i < coords->n_entries; i++) {
    if (memcmp(&coords->entries[i].key, key, sizeof *key) == 0) return &coords->entries[i];
  }
  return NULL;
}

void *lat__coords_cache_get(const lat_coords *coords, const lat__cache_key *key) {
  lat_coords *owner = (lat_coords *)coords; // the cache of a const set is guarded by its lock
  void *object = NULL;
  pthread_mutex_lock(&owner->lock);
  lat__cache_entry *entry = find_entry(owner, key);
  if (entry) {
    entry->last_used = ++owner->tick;
    object = entry->ops->retain(entry->object);
  }
  pthread_mutex_unlock(&owner->lock);
  return object;
}

void *lat__coords_cache_put(const lat_coords *coords, const lat__cache_key *key, const lat__cache_ops *ops,
                            void *object) {
  lat_coords *owner = (lat_coords *)coords;
  void *dropped = NULL;
  void *result = object;
  pthread_mutex_lock(&owner->lock);
  lat__cache_entry *entry = find_entry(owner, key);
  if (entry) {
    result = ops->retain(entry->object);
    dropped = object;
  } else {
    if (owner->n_entries < LAT__COORDS_CACHE_SLOTS) {
      entry = &owner->entries[owner->n_entries++];
    } else {
      entry = &owner->entries[0];
      for (int i = 1; i < owner->n_entries; i++) {
        if (owner->entries[i].last_used < entry->last_used) entry = &owner->entries[i];
      }
      dropped = entry->object; // same kind of object or not, its own ops drop it below
    }
    const lat__cache_ops *dropped_ops = entry->ops;
    *entry = (lat__cache_entry){.key = *key, .ops = ops, .object = ops->retain(object), .last_used = ++owner->tick};
    if (dropped) ops = dropped_ops;
  }
  pthread_mutex_unlock(&owner->lock);
  if (dropped) ops->release(dropped); // outside the lock: it may free a whole pyramid
  return result;
}

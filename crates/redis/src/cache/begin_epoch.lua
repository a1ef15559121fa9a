return begin_epoch()
